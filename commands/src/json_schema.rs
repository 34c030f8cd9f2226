//! Validation of the JSON Schemas (draft 2020-12) of report templates, and of data against them.
//!
//! Users write the schemas and the server evaluates them, so that they are bounded before they are compiled: a schema
//! refers only to itself, is not recursive, and expands to a bounded number of subschemas (`bounds`); its patterns are
//! bounded together (`patterns`), and so are the steps of each evaluation (`plan`). Validation runs on one thread
//! (`judge`), which tenants share fairly. Error messages contain names of the schema only, never values of the data.

mod bounds;
mod compiled;
mod extent;
mod judge;
mod named;
mod patterns;
mod plan;

use std::sync::{Arc, OnceLock, mpsc};

use roentgen_domain::ids::TenantId;
use roentgen_domain::report_template::Schema;
use roentgen_store::StoreError;
use roentgen_store::error::Unavailable;
use roentgen_store::fair::{FairShare, Limits, ShareOwner};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::CommandError;
use judge::ValidationJob;

/// Limits of the queue: one validation at a time. A tenant with slow schemas delays only its own requests.
const ONE_AT_A_TIME: Limits = Limits {
    shared: 1,
    reserve: 0,
    little: 0,
    waiting: 64,
};

/// Validates schemas, and data against schemas. Clones share one thread, which is started on first use.
#[derive(Debug, Clone)]
pub(crate) struct Schemas {
    turns: FairShare,
    judge: Arc<OnceLock<mpsc::Sender<ValidationJob>>>,
}

impl Default for Schemas {
    fn default() -> Self {
        Self {
            turns: FairShare::new("schemas", ONE_AT_A_TIME),
            judge: Arc::default(),
        }
    }
}

/// Share owner, tenant and deadline of a validation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidationCaller {
    pub(crate) party: ShareOwner,
    pub(crate) tenant: TenantId,
    pub(crate) deadline: Instant,
}

impl Schemas {
    /// Checks that the value is a supported schema and, if data are given, that they satisfy the schema.
    ///
    /// # Errors
    ///
    /// [`CommandError::Invalid`] with the violations; [`StoreError::Unavailable`] if there is no result by the
    /// deadline.
    pub(crate) async fn judge(
        &self,
        asker: ValidationCaller,
        schema: &Schema,
        data: Option<Value>,
    ) -> Result<(), CommandError> {
        let turn = self.turns.enter(asker.party, 1, asker.deadline).await;
        let turn = turn.map_err(|_crowded| StoreError::Unavailable(Unavailable::Crowded))?;
        let (reply, verdict) = oneshot::channel();
        let question = ValidationJob {
            tenant: asker.tenant,
            schema: schema.clone(),
            data,
            reply,
            turn,
        };
        let closing = || StoreError::Unavailable(Unavailable::Closing);
        let judge = self.started().ok_or_else(closing)?;
        judge.send(question).map_err(|_ended| closing())?;
        let verdict = tokio::time::timeout_at(asker.deadline, verdict).await;
        let verdict = verdict.map_err(|_elapsed| StoreError::Unavailable(Unavailable::Deadline))?;
        verdict
            .map_err(|_panicked| closing())?
            .map_err(CommandError::Invalid)
    }

    fn started(&self) -> Option<&mpsc::Sender<ValidationJob>> {
        if self.judge.get().is_none() {
            let started = judge::start();
            let started = started
                .inspect_err(|error| {
                    tracing::error!(
                        event = "schema.thread_failed",
                        %error,
                        "cannot start the schema validation thread",
                    )
                })
                .ok()?;
            let _ = self.judge.set(started);
        }
        self.judge.get()
    }
}

#[cfg(test)]
mod tests;
