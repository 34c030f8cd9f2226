//! Rows of read models, and the streams that are parked.

use async_trait::async_trait;
use uuid::Uuid;

use super::GenerationStore;
use crate::error::EngineError;
use crate::generation::{GenerationState, LiveTables};
use crate::read_model::{
    ListQuery, ParkedRetry, ParkedStream, ProjectionBatch, ReadModel, Row, Table,
};
use crate::readers::Scope;

/// Rows of read models, and the streams that are parked.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait ReadModelStore: GenerationStore {
    /// Returns the live table of each read model, as this process knows them.
    fn live_tables(&self) -> &LiveTables;

    /// Returns rows of a table by id, in no particular order. Rows that do not exist or are not in scope are left out.
    /// The result ends with the row that makes it larger than `most_bytes`.
    async fn read_rows(
        &self,
        scope: Scope,
        table: Table,
        ids: &[Uuid],
        most_bytes: usize,
    ) -> Result<Vec<Row>, EngineError>;

    /// Returns a page of a table's rows, ordered by `sort_key`. From the second row on, the page ends with the row that
    /// makes it larger than `MAX_PAGE_BYTES`.
    async fn list_rows(&self, table: Table, query: &ListQuery) -> Result<Vec<Row>, EngineError>;

    /// Returns rows of the live generation.
    async fn live_rows(
        &self,
        scope: Scope,
        model: &'static ReadModel,
        ids: &[Uuid],
    ) -> Result<Vec<Row>, EngineError> {
        let table = live_table(self, model).await?;
        match self.read_rows(scope, table, ids, usize::MAX).await {
            Err(EngineError::Rejected(refused)) => match refresh_live_table(self, table).await? {
                Some(now) => self.read_rows(scope, now, ids, usize::MAX).await,
                None => Err(EngineError::Rejected(refused)),
            },
            found => found,
        }
    }

    /// Returns a page of the live generation.
    async fn live_list(&self, query: &ListQuery) -> Result<Vec<Row>, EngineError> {
        let table = live_table(self, query.model).await?;
        match self.list_rows(table, query).await {
            Err(EngineError::Rejected(refused)) => match refresh_live_table(self, table).await? {
                Some(now) => self.list_rows(now, query).await,
                None => Err(EngineError::Rejected(refused)),
            },
            found => found,
        }
    }

    /// Writes rows and advances the tables' checkpoints in one transaction, by compare-and-set on each checkpoint.
    /// Returns `false` and writes nothing if a checkpoint is superseded, a table is no longer live or being filled, or
    /// a skipped stream is no longer parked.
    async fn write_projection(&self, batch: &ProjectionBatch) -> Result<bool, EngineError>;

    /// Returns all parked streams.
    async fn parked(&self) -> Result<Vec<ParkedStream>, EngineError>;

    /// Writes a parked stream's rows and unparks the stream, or stores the new position from which it is parked, in one
    /// transaction that locks the checkpoint. Returns `false` and writes nothing if the stream is no longer parked at
    /// that position, or if the checkpoint has passed an event of the stream that the rows do not include.
    async fn write_parked_retry(&self, retry: &ParkedRetry<'_>) -> Result<bool, EngineError>;

    /// Returns the number of rows in a table.
    async fn count_rows(&self, table: Table) -> Result<u64, EngineError>;
}

/// Returns the live table of a read model. A process without a projector reads it from the database on first use.
///
/// # Errors
///
/// [`EngineError::ReadModelNotReady`] if the read model has no live table yet.
async fn live_table<E: ReadModelStore + ?Sized>(
    store: &E,
    model: &'static ReadModel,
) -> Result<Table, EngineError> {
    match store.live_tables().live_table_of(model) {
        Some(table) => Ok(table),
        None => fetch_live_table(store, model).await,
    }
}

/// Reads the live table from the database; `None` if it is still `before`. A table that was live may be dropped.
async fn refresh_live_table<E: ReadModelStore + ?Sized>(
    store: &E,
    before: Table,
) -> Result<Option<Table>, EngineError> {
    let now = fetch_live_table(store, before.model).await?;
    Ok((now != before).then_some(now))
}

async fn fetch_live_table<E: ReadModelStore + ?Sized>(
    store: &E,
    model: &'static ReadModel,
) -> Result<Table, EngineError> {
    let generations = store.generations().await?;
    let live = generations
        .iter()
        .find(|generation| generation.matches(model) && generation.state == GenerationState::Live);
    let generation = live
        .ok_or(EngineError::ReadModelNotReady(model.name))?
        .generation;
    let table = Table { model, generation };
    store.live_tables().note(table);
    Ok(table)
}
