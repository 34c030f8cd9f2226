//! Checks that the log has reached the positions that clients and read models name.

use roentgen_store::reads::Reads;

use crate::app::App;
use crate::problem::{Problem, ProblemCode};

/// Rejects a position that the log has not reached. Such a caller has seen events that the log lost in a restore from
/// an older backup, or means a different log. The database is queried only if this node does not know the position yet:
/// another node may have written it.
pub(crate) async fn reaches(app: &App, reads: &Reads, position: u64) -> Result<(), Problem> {
    if position <= *app.store.tail.head().borrow() {
        return Ok(());
    }
    let head = reads.head().await?.position;
    app.store.tail.observe(head);
    if position <= head {
        return Ok(());
    }
    let detail = format!(
        "the log ends at position {head}, before the position that was asked for: \
         the log was restored to an earlier point or is a different log"
    );
    Err(Problem::new(ProblemCode::BeyondLog, detail))
}

/// Rejects reads while the read models are ahead of the log: they would show events that the log no longer contains.
pub(crate) fn fits_models(app: &App) -> Result<(), Problem> {
    match app.progress.halt_reason() {
        Some(refused) => Err(Problem::new(ProblemCode::Unavailable, refused.to_string())),
        None => Ok(()),
    }
}
