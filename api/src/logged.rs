//! Whether the log has what clients and read models say of it: the positions that they name.

use roentgen_store::reads::Reads;

use crate::app::App;
use crate::problem::{Problem, ProblemCode};

/// Refuses a position that the log has not reached: whoever names one has seen events that the log does not have any
/// more (it was restored from an older backup), or means another log. The database is asked only where this node does
/// not know of the position yet: another node may have written it.
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

/// Refuses to read from read models that do not fit the log: they show what is in no log any more, and not what is.
pub(crate) fn fits_models(app: &App) -> Result<(), Problem> {
    match app.progress.halt_reason() {
        Some(refused) => Err(Problem::new(ProblemCode::Unavailable, refused.to_string())),
        None => Ok(()),
    }
}
