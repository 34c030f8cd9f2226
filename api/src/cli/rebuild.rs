//! `roentgen rebuild`: requests new generations of read models and waits for them. The node that projects a model
//! builds it; without a running node, this process does.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use roentgen_store::engine::Engine;
use roentgen_store::generation::{Generation, GenerationState};
use roentgen_store::lease::Leases;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::projection::{self, Projection};
use roentgen_store::projector::Projector;
use roentgen_store::rebuild::{DropOutcome, RebuildService};
use roentgen_store::recent_events::RecentEvents;

use super::progress_line::ProgressLine;
use crate::serve::shutdown_signal;

/// Interval at which the database is polled for progress.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum time to stop the builds of this process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `roentgen rebuild`.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Read models to rebuild, named as in `roentgen projections` without the version suffix.
    #[arg(required_unless_present = "all")]
    projections: Vec<String>,
    /// Rebuild all read models.
    #[arg(long, conflicts_with = "projections")]
    all: bool,
    /// Cancel rebuilds in progress.
    #[arg(long, conflicts_with = "drop")]
    cancel: bool,
    /// Drop retired generations and those of other releases.
    #[arg(long)]
    drop: bool,
}

pub(super) async fn run(
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    rebuild: &RebuildArgs,
) -> anyhow::Result<ExitCode> {
    let known: Vec<&str> = projections
        .iter()
        .map(|projection| projection.model().name)
        .collect();
    let names = if rebuild.all {
        known.iter().map(|text| (*text).to_owned()).collect()
    } else {
        rebuild.projections.clone()
    };
    for name in &names {
        let known = known.contains(&name.as_str());
        ensure!(known, "no read model named {name}");
    }
    let rebuilding = RebuildService::new(Arc::clone(&engine), projections.clone());
    match (rebuild.cancel, rebuild.drop) {
        (true, _) => cancel(&rebuilding, &names).await,
        (false, true) => drop_old(&rebuilding, &names).await,
        (false, false) => {
            let tasks = BackgroundTasks::new();
            let ended = build(engine, projections, &rebuilding, &names, &tasks).await;
            tasks.stop(SHUTDOWN_TIMEOUT).await;
            ended
        }
    }
}

async fn cancel(rebuilding: &RebuildService, names: &[String]) -> anyhow::Result<ExitCode> {
    for name in names {
        match rebuilding.cancel(name).await? {
            Some(generation) => println!("{generation} cancelled and dropped"),
            None => println!("no rebuild of {name} in progress"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn drop_old(rebuilding: &RebuildService, names: &[String]) -> anyhow::Result<ExitCode> {
    for name in names {
        let dropped = rebuilding.drop_old(name).await?;
        if dropped.is_empty() {
            println!("no old generations of {name}");
        }
        for outcome in dropped {
            match outcome {
                DropOutcome::Dropped(generation) => println!("{generation} dropped"),
                DropOutcome::InUse(generation) => println!("{generation} is in use; not dropped"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Requests the generations, then waits for each in turn.
async fn build(
    engine: Arc<dyn Engine>,
    projections: Vec<Arc<dyn Projection>>,
    rebuilding: &RebuildService,
    names: &[String],
    tasks: &BackgroundTasks,
) -> anyhow::Result<ExitCode> {
    let mut asked = Vec::with_capacity(names.len());
    for name in names {
        asked.extend(rebuilding.request(name).await?);
    }
    let tail = Arc::new(RecentEvents::default());
    let leases = Leases::start(engine.clone(), "", projection::leases(&projections), tasks);
    Projector::start(Arc::clone(&engine), tail, projections, leases, tasks).await?;
    let built = async {
        let mut code = ExitCode::SUCCESS;
        for generation in &asked {
            if !wait_until_finished(&*engine, generation).await? {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    };
    tokio::select! {
        code = built => code,
        signalled = shutdown_signal() => {
            signalled?;
            bail!("rebuild continues on a running server or the next run; --cancel aborts it")
        }
    }
}

/// Waits for a generation and prints the outcome; returns `false` if it failed or was cancelled.
async fn wait_until_finished(engine: &dyn Engine, asked: &Generation) -> anyhow::Result<bool> {
    let progress = ProgressLine::new(Some(engine.head().await?.position));
    loop {
        let all = engine.generations().await?;
        let now = all
            .into_iter()
            .find(|generation| generation.name == asked.name);
        let Some(Generation {
            name,
            state,
            checkpoint,
            ..
        }) = now
        else {
            drop(progress);
            println!("{} cancelled", asked.name);
            return Ok(false);
        };
        let said = match state {
            GenerationState::Filling { .. }
            | GenerationState::Indexing
            | GenerationState::Verifying { .. }
            | GenerationState::Joining => {
                progress.note(&format!("{name}: {state}"), checkpoint.position);
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            GenerationState::Live => Ok(format!("{name} is live")),
            GenerationState::Retired => Ok(format!("{name} was live and has been replaced")),
            GenerationState::Failed { reason } => Err(format!("{name} failed: {reason}")),
        };
        drop(progress);
        let done = said.is_ok();
        println!("{}", said.unwrap_or_else(|text| text));
        return Ok(done);
    }
}
