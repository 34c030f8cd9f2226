//! Templates' JSON Schemas (draft 2020-12): which are taken, and what satisfies them.
//!
//! A schema is written by a person and evaluated by us, so it is bounded before it is compiled: it points nowhere but
//! into itself, it does not contain itself, what it unfolds to is limited (`bounds`), its patterns are limited together
//! (`patterns`), and so are the steps of each evaluation (`plan`). All of that is done on a thread of its own
//! (`judge`), on which tenants take turns. What a refusal says is the schema's words and never the data's.

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

/// One schema at a time. A tenant whose schemas take long waits behind itself.
const ONE_AT_A_TIME: Limits = Limits {
    shared: 1,
    reserve: 0,
    little: 0,
    waiting: 64,
};

/// Judges schemas, and data by them. Clones share a thread, which is started for the first question.
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

/// Who asks, for whom, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidationCaller {
    pub(crate) party: ShareOwner,
    pub(crate) tenant: TenantId,
    pub(crate) deadline: Instant,
}

impl Schemas {
    /// Refuses what is no schema, or none that we evaluate; with data, data that do not satisfy it.
    ///
    /// # Errors
    ///
    /// [`CommandError::Invalid`] with what is wrong; [`StoreError::Unavailable`] if it is not known by the
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
