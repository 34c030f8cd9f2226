//! Selects the tables that this node projects and reads: the live generations of its projections' schemas.

use std::sync::Arc;

use super::Projection;
use super::batch::ProjectedTable;
use crate::checkpoint::{CheckpointAhead, checkpoint_mismatch};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState, NewGeneration};
use crate::read_model::{Checkpoint, ReadModel, Table};

/// Log length, in events, from which read models are backfilled before they are read.
const BACKFILL_THRESHOLD: u64 = 100_000;

/// Creates a generation for each projection whose schema has none. If no generation exists and the log is short, all
/// start at the first event and are live immediately; otherwise each is backfilled first.
pub(crate) async fn create_missing_generations(
    engine: &dyn Engine,
    projections: &[Arc<dyn Projection>],
) -> Result<(), EngineError> {
    let generations = engine.generations().await?;
    let is_there = |projection: &Arc<dyn Projection>| {
        generations.iter().any(|of| of.matches(projection.model()))
    };
    let missing: Vec<_> = projections
        .iter()
        .filter(|projection| !is_there(projection))
        .collect();
    if missing.is_empty() {
        // Brings existing tables up to date.
        return engine.create_tables(&[]).await;
    }
    let upto = engine.head().await?.position;
    let state = if generations.is_empty() && upto < BACKFILL_THRESHOLD {
        GenerationState::Live
    } else {
        GenerationState::Filling { upto }
    };
    let new = missing.iter().map(|projection| NewGeneration {
        tables: projection.tables(1),
        state: state.clone(),
    });
    let new: Vec<_> = new.collect();
    let tables: Vec<Table> = new
        .iter()
        .flat_map(|generation| generation.tables.iter().copied())
        .collect();
    engine.create_tables(&tables).await?;
    if state == GenerationState::Live {
        engine.create_indexes(&tables).await?;
    }
    engine.create_generations(&new).await
}

/// Returns the live generations of the projections' schemas; from now on this process reads them.
pub(crate) async fn load_live_tables(
    engine: &dyn Engine,
    projections: &[Arc<dyn Projection>],
) -> Result<Vec<ProjectedTable>, EngineError> {
    let generations = engine.generations().await?;
    let live = |projection: &Arc<dyn Projection>| member(projection, &generations);
    let members: Vec<ProjectedTable> = projections.iter().filter_map(live).collect();
    engine
        .live_tables()
        .set(members.iter().map(|table| table.table));
    Ok(members)
}

/// Returns the first checkpoint that is ahead of the log, if any.
pub(crate) async fn mismatch(
    engine: &dyn Engine,
    members: &[ProjectedTable],
) -> Result<Option<CheckpointAhead>, EngineError> {
    let mut fitting = Checkpoint::START;
    for ProjectedTable {
        table, checkpoint, ..
    } in members
    {
        if *checkpoint == fitting {
            continue;
        }
        let refused = checkpoint_mismatch(engine, &table.name(), *checkpoint).await?;
        if refused.is_some() {
            return Ok(refused);
        }
        fitting = *checkpoint;
    }
    Ok(None)
}

fn member(projection: &Arc<dyn Projection>, generations: &[Generation]) -> Option<ProjectedTable> {
    let model = projection.model();
    let mut of_model = generations
        .iter()
        .filter(|generation| generation.matches(model));
    let live = of_model.find(|generation| generation.state == GenerationState::Live)?;
    Some(ProjectedTable {
        projection: Arc::clone(projection),
        table: table(model, live),
        checkpoint: live.checkpoint,
    })
}

/// Returns the table of a generation of this schema.
pub(crate) const fn table(model: &'static ReadModel, of: &Generation) -> Table {
    Table {
        model,
        generation: of.generation,
    }
}
