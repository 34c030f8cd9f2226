//! `roentgen projections`: prints the status of all projections.

use std::process::ExitCode;
use std::sync::Arc;

use roentgen_commands::policies::POLICIES;
use roentgen_relay::RELAY;
use roentgen_store::checkpoint::checkpoint_mismatch;
use roentgen_store::engine::{Engine, SubscriptionStore};
use roentgen_store::generation::{Generation, GenerationState};
use roentgen_store::projection::Projection;
use roentgen_store::projector::{ParkedStreams, ReadModelStatus};
use roentgen_store::read_model::Checkpoint;

const REJECTED_SHOWN: u32 = 20;

/// Prints one line per projection and per other generation, then the parked streams, the policies, and the relay, if
/// any. Exits 1 if a checkpoint does not match the log.
pub(super) async fn run(
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
) -> anyhow::Result<ExitCode> {
    let parking = ParkedStreams::new(Arc::clone(&engine), projections);
    let engine = &*engine;
    let standing = parking.status().await?;
    let head = standing.head;
    println!(
        "{:<24} {:>14} {:>14} {:>10}",
        "projection", "checkpoint", "head", "lag"
    );
    let mut checkpoints = Vec::new();
    for status in &standing.models {
        match &status.live {
            Some(live) => {
                print_line(&live.name, live.checkpoint.position, head);
                checkpoints.push((live.name.clone(), live.checkpoint));
            }
            None => println!("{:<24} {:>14}", status.model.schema_name(), "being built"),
        }
        print_other_generations(&status.others);
    }
    for status in &standing.models {
        parked(&parking, status).await?;
    }
    checkpoints.push((POLICIES.to_owned(), policies(engine, head).await?));
    let relay = relay(engine, head).await?;
    checkpoints.extend(relay.map(|checkpoint| (RELAY.to_owned(), checkpoint)));
    let mut code = ExitCode::SUCCESS;
    for (name, checkpoint) in checkpoints {
        if let Some(refused) = checkpoint_mismatch(engine, &name, checkpoint).await? {
            println!("{refused}");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn print_line(name: &str, position: u64, head: u64) {
    let lag = head.saturating_sub(position);
    println!("{name:<24} {position:>14} {head:>14} {lag:>10}");
}

/// Prints generations that are being built, retired or failed.
fn print_other_generations(generations: &[Generation]) {
    for generation in generations {
        let position = generation.checkpoint.position;
        let why = match &generation.state {
            GenerationState::Failed { reason } => format!(": {reason}"),
            GenerationState::Verifying { checked } => format!(", {checked} streams verified"),
            GenerationState::Filling { .. }
            | GenerationState::Indexing
            | GenerationState::Joining
            | GenerationState::Live
            | GenerationState::Retired => String::new(),
        };
        println!(
            "  {:<22} {position:>14} {}{why}",
            generation.name, generation.state
        );
    }
}

/// Prints one line per parked stream of the read model.
async fn parked(parking: &ParkedStreams, of: &ReadModelStatus) -> anyhow::Result<()> {
    for parked in &of.parked {
        let since = parking.since(parked).await?;
        let since = since
            .map(|time| format!(" since {time}"))
            .unwrap_or_default();
        println!(
            "parked: {} {} {} from position {}{since}: {}",
            of.model.name, of.stream_type, parked.stream_id, parked.position, parked.reason
        );
    }
    Ok(())
}

/// Prints the line of the policies, then the permanently rejected effects, latest first.
async fn policies(store: &dyn SubscriptionStore, head: u64) -> anyhow::Result<Checkpoint> {
    let checkpoint = store.checkpoint(POLICIES).await?;
    print_line(POLICIES, checkpoint.position, head);
    for effect in store.rejected_effects(REJECTED_SHOWN).await? {
        println!(
            "rejected: {} after position {}: {}",
            effect.effect, effect.position, effect.reason
        );
    }
    Ok(checkpoint)
}

/// Prints the line of the relay, if it was ever started.
async fn relay(store: &dyn SubscriptionStore, head: u64) -> anyhow::Result<Option<Checkpoint>> {
    let Some(checkpoint) = store
        .relay_checkpoint(RELAY)
        .await?
        .map(|checkpoint| checkpoint.as_checkpoint())
    else {
        return Ok(None);
    };
    print_line(RELAY, checkpoint.position, head);
    Ok(Some(checkpoint))
}
