//! `roentgen projections`.

use std::process::ExitCode;
use std::sync::Arc;

use roentgen_commands::policies::POLICIES;
use roentgen_relay::RELAY;
use roentgen_store::engine::Engine;
use roentgen_store::model::Checkpoint;
use roentgen_store::projector::{GROUP, Parking, StandingModel, mismatch};

const REFUSALS_SHOWN: u32 = 20;

/// One line a projection, then its parked streams; one for the policies, and one for the relay where there is one.
pub(super) async fn run(engine: Arc<dyn Engine>) -> anyhow::Result<ExitCode> {
    let parking = Parking::new(Arc::clone(&engine), roentgen_projections::all());
    let engine = &*engine;
    let standing = parking.standing().await?;
    let (head, lag) = (standing.head, standing.lag());
    println!(
        "{:<16} {:>14} {:>14} {:>10}",
        "projection", "checkpoint", "head", "lag"
    );
    println!("{GROUP:<16} {:>14} {head:>14} {lag:>10}", standing.position);
    for it in &standing.models {
        println!("  {}", it.model.table());
    }
    for it in &standing.models {
        parked(&parking, it).await?;
    }
    let checkpoint = engine.checkpoint(GROUP).await?;
    let policies = policies(engine, head).await?;
    let relay = relay(engine, head).await?;
    let mut code = ExitCode::SUCCESS;
    let checkpoints = [
        (GROUP, Some(checkpoint)),
        (POLICIES, Some(policies)),
        (RELAY, relay),
    ];
    for (name, checkpoint) in checkpoints {
        let Some(checkpoint) = checkpoint else {
            continue;
        };
        if let Some(refused) = mismatch(engine, name, checkpoint).await? {
            println!("{refused}");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// One line a stream that the model could not fold.
async fn parked(parking: &Parking, of: &StandingModel) -> anyhow::Result<()> {
    for it in &of.parked {
        let since = parking.since(it).await?;
        let since = since.map(|it| format!(" since {it}")).unwrap_or_default();
        println!(
            "parked: {} {} {} from position {}{since}: {}",
            of.model.name, of.stream_type, it.stream_id, it.position, it.reason
        );
    }
    Ok(())
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

/// The relay's line, where it was ever started.
async fn relay(engine: &dyn Engine, head: u64) -> anyhow::Result<Option<Checkpoint>> {
    let Some(checkpoint) = engine.relay(RELAY).await?.map(|it| it.place()) else {
        return Ok(None);
    };
    let (position, lag) = (
        checkpoint.position,
        head.saturating_sub(checkpoint.position),
    );
    println!("{RELAY:<16} {position:>14} {head:>14} {lag:>10}");
    Ok(Some(checkpoint))
}
