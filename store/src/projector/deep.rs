//! Whether the read models that are read are what the log makes: for `roentgen verify --deep`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::verify::{RowVerification, verify_live};
use super::{Projection, leases, live_tables};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::lease::Leases;
use crate::lifecycle::BackgroundTasks;

/// How long the leases of a server that was killed are waited for.
const LEASES_WITHIN: Duration = Duration::from_secs(8);

/// What a comparison of the read models with the log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// One entry a read model.
    Done(Vec<ComparedModel>),
    /// A server projects them: what moves cannot be compared.
    Busy,
}

/// A read model that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedModel {
    /// Its table, or its model's name where no table is read yet.
    pub name: String,
    /// What is wrong with it, without PHI.
    pub difference: Option<String>,
}

/// Compares each row of the read models with its stream, up to each model's checkpoint. While this process compares, it
/// holds the models' leases, so that nobody projects.
///
/// # Errors
///
/// Where the database fails, or the log's beginning is archived.
pub async fn compare(
    engine: &Arc<dyn Engine>,
    projections: &[Arc<dyn Projection>],
    tasks: &BackgroundTasks,
) -> Result<Comparison, EngineError> {
    let names = leases(projections);
    let mut held = Leases::start(Arc::clone(engine), "", names.clone(), tasks);
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
