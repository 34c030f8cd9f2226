//! `roentgen projections`.

use std::process::ExitCode;

use roentgen_commands::policies::POLICIES;
use roentgen_store::engine::Engine;
use roentgen_store::model::Checkpoint;
use roentgen_store::projector::{GROUP, mismatch};

const REFUSALS_SHOWN: u32 = 20;

/// One line a projection, then its parked streams.
pub(super) async fn run(engine: &dyn Engine) -> anyhow::Result<ExitCode> {
    let head = engine.head().await?.position;
    let checkpoint = engine.checkpoint(GROUP).await?;
    let lag = head.saturating_sub(checkpoint.position);
    println!(
        "{:<16} {:>14} {:>14} {:>10}",
        "projection", "checkpoint", "head", "lag"
    );
    println!(
        "{GROUP:<16} {:>14} {head:>14} {lag:>10}",
        checkpoint.position
    );
    for projection in roentgen_projections::all() {
        println!("  {}", projection.model().table());
    }
    for parked in engine.parked(GROUP).await? {
        let (model, stream, position) = (&parked.model, parked.stream_id, parked.position);
        println!(
            "parked: {model} stream {stream} from position {position}: {}",
            parked.reason
        );
    }
    let policies = policies(engine, head).await?;
    let mut code = ExitCode::SUCCESS;
    for (name, checkpoint) in [(GROUP, checkpoint), (POLICIES, policies)] {
        if let Some(refused) = mismatch(engine, name, checkpoint).await? {
            println!("{refused}");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// The policies' line, then the effects that were refused for good, latest first.
async fn policies(engine: &dyn Engine, head: u64) -> anyhow::Result<Checkpoint> {
    let checkpoint = engine.checkpoint(POLICIES).await?;
    let (position, lag) = (
        checkpoint.position,
        head.saturating_sub(checkpoint.position),
    );
    println!("{POLICIES:<16} {position:>14} {head:>14} {lag:>10}");
    for it in engine.refused_effects(REFUSALS_SHOWN).await? {
        println!(
            "refused: {} after position {}: {}",
            it.effect, it.position, it.reason
        );
    }
    Ok(checkpoint)
}
