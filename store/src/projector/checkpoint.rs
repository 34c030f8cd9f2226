//! Whether a checkpoint fits the log.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::model::Checkpoint;

/// The checkpoint does not fit the log: the log was restored to an earlier point, or is another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "checkpoint {projection} stands at position {position}, and the log {found}: \
     the log was restored to an earlier point or is another one"
)]
pub struct CheckpointAhead {
    /// Whose checkpoint.
    pub projection: String,
    /// Where it stands.
    pub position: u64,
    /// What the log has instead.
    pub found: &'static str,
}

/// Why `checkpoint` does not fit the log, where it does not.
pub async fn mismatch(
    engine: &dyn Engine,
    projection: &str,
    checkpoint: Checkpoint,
) -> Result<Option<CheckpointAhead>, EngineError> {
    if checkpoint.position == 0 {
        return Ok(None);
    }
    let found = match engine.event_at(checkpoint.position).await? {
        Some(event) if event.hash == checkpoint.hash => return Ok(None),
        Some(_) => "has another event there",
        None => "ends before it",
    };
    let (projection, position) = (projection.to_owned(), checkpoint.position);
    Ok(Some(CheckpointAhead {
        projection,
        position,
        found,
    }))
}
