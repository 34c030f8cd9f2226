//! Generations of read models, and their tables.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::EngineError;
use crate::generation::{Generation, GenerationState, NewGeneration};
use crate::read_model::Table;

/// Generations of read models, and their tables.
///
/// # Errors
///
/// As described at [`Engine`](super::Engine).
#[async_trait]
pub trait GenerationStore: Debug + Send + Sync + 'static {
    /// Returns all generations, ordered by name.
    async fn generations(&self) -> Result<Vec<Generation>, EngineError>;

    /// Creates generations, all in one transaction, with checkpoints at the start of the log. A generation that already
    /// exists, or whose schema already has a generation in that state, is left unchanged.
    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError>;

    /// Creates missing tables, without their indexes. Existing tables of an earlier release get the storage settings of
    /// this release.
    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Creates missing indexes of the tables, including the key's index if the key is built as one.
    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError>;

    /// Advances a generation to the next build state. Returns `false` if it is in another state or does not exist.
    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError>;

    /// Swaps in a joining generation and retires the previous live one of its schema, in one transaction. Returns
    /// `false` and changes nothing if the generation is not joining, or if its checkpoint is behind that of the
    /// previous one.
    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError>;

    /// Deletes a generation that is not live, and drops its tables and its parked streams. Returns `false` if the
    /// generation is live or does not exist.
    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError>;
}
