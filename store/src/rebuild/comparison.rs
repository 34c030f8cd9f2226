//! Compares the live read models with the log, for `roentgen verify --deep`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::row_verification::{RowVerification, verify_live};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::lease::Leases;
use crate::lifecycle::BackgroundTasks;
use crate::projection::{Projection, leases, live_tables};

/// Maximum wait for the leases of a server that was killed.
const LEASES_WITHIN: Duration = Duration::from_secs(8);

/// Outcome of comparing the read models with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// One entry per read model.
    Done(Vec<ComparedModel>),
    /// A server projects the read models; tables that change cannot be compared.
    Busy,
}

/// Read model that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedModel {
    /// Name of the table, or of the read model if no table is live yet.
    pub name: String,
    /// Difference from the log, without PHI.
    pub difference: Option<String>,
}

/// Compares each row of the read models with its stream, up to each read model's checkpoint. During the comparison this
/// process holds the read models' leases, so that no node projects.
///
/// # Errors
///
/// [`EngineError`] if the database fails, or if the start of the log is archived.
pub async fn compare(
    engine: &Arc<dyn Engine>,
    projections: &[Arc<dyn Projection>],
    tasks: &BackgroundTasks,
) -> Result<Comparison, EngineError> {
    let names = leases(projections);
    let mut held = Leases::start(engine.clone(), "", names.clone(), tasks);
    let holds_all = |held: &Leases| names.iter().all(|name| held.holds(name));
    let deadline = Instant::now() + LEASES_WITHIN;
    while !holds_all(&held) {
        let changed = tokio::time::timeout_at(deadline, held.changed()).await;
        if changed.is_err() {
            return Ok(Comparison::Busy);
        }
    }
    let members = live_tables::load_live_tables(&**engine, projections).await?;
    let mut compared = Vec::with_capacity(members.len());
    for member in &members {
        let verdict = verify_live(engine, member, || holds_all(&held)).await?;
        let difference = match verdict {
            RowVerification::Matches => None,
            RowVerification::Mismatch(difference) => Some(difference),
            RowVerification::Aborted => return Ok(Comparison::Busy),
        };
        let name = member.table.name();
        compared.push(ComparedModel { name, difference });
    }
    let is_read = |name: &str| members.iter().any(|member| member.table.model.name == name);
    let all = projections.iter().map(|projection| projection.model().name);
    compared.extend(all.filter(|name| !is_read(name)).map(|name| ComparedModel {
        name: name.to_owned(),
        difference: Some("it is not built".to_owned()),
    }));
    Ok(Comparison::Done(compared))
}
