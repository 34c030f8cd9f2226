//! Checks checkpoints against the log.

use crate::engine::EventLog;
use crate::error::EngineError;
use crate::log::{LogPage, StoredEvent};
use crate::read_model::Checkpoint;

/// Checkpoint that does not match the log: the log was restored to an earlier point, or is a different log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "checkpoint {projection} is at position {position} but the log {found}: the log was restored to an earlier point \
     or is a different log"
)]
pub struct CheckpointAhead {
    /// Name of the checkpoint's owner.
    pub projection: String,
    /// Position of the checkpoint.
    pub position: u64,
    /// What the log has instead of the checkpoint's event.
    pub found: &'static str,
}

/// Returns why `checkpoint` is ahead of the log; `None` if it is not.
///
/// # Errors
///
/// [`EngineError`] if the log cannot be read.
pub async fn checkpoint_mismatch(
    log: &dyn EventLog,
    projection: &str,
    checkpoint: Checkpoint,
) -> Result<Option<CheckpointAhead>, EngineError> {
    if checkpoint.position == 0 {
        return Ok(None);
    }
    let found = match log.event_at(checkpoint.position).await? {
        Some(event) if event.hash == checkpoint.hash => return Ok(None),
        Some(_) => "has a different event there",
        None => "ends earlier",
    };
    let projection = projection.to_owned();
    let position = checkpoint.position;
    Ok(Some(CheckpointAhead {
        projection,
        position,
        found,
    }))
}

/// Returns the checkpoint after an event.
pub(crate) fn checkpoint_at(event: &StoredEvent) -> Checkpoint {
    Checkpoint {
        position: event.position,
        hash: event.hash,
    }
}

/// Returns the checkpoint after all positions that a page scanned, or `None` if the log now ends earlier.
pub(crate) async fn checkpoint_after_page(
    log: &dyn EventLog,
    page: &LogPage,
) -> Result<Option<Checkpoint>, EngineError> {
    match page.events.last() {
        Some(last) if last.position == page.scanned_to => Ok(Some(checkpoint_at(last))),
        Some(_) | None => {
            let last = log.event_at(page.scanned_to).await?;
            Ok(last.as_ref().map(checkpoint_at))
        }
    }
}
