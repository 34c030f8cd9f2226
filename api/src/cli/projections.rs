//! `roentgen projections`.

use std::process::ExitCode;

use roentgen_store::engine::Engine;
use roentgen_store::projector::{GROUP, mismatch};

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
    match mismatch(engine, GROUP, checkpoint).await? {
        None => Ok(ExitCode::SUCCESS),
        Some(refused) => {
            println!("{refused}");
            Ok(ExitCode::FAILURE)
        }
    }
}
