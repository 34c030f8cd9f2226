//! Effects: use cases that policies issue because of events.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use roentgen_domain::ids::StreamId;

use crate::envelope::CommandEnvelope;
use crate::error::CommandError;
use crate::executor::{Executor, UseCase};

/// Use case that a policy issues because of an event.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Name of the effect. It is frozen, because it is part of the reservation.
    pub(super) name: &'static str,
    /// Target stream. Name and target identify an effect among those of one event.
    pub(super) target: StreamId,
    /// Lane; effects with the same lane are executed in order.
    pub(super) lane: StreamId,
    action: Arc<dyn Action>,
}

impl Effect {
    /// Creates an effect: a use case on `target`, executed in order with the other effects of `lane`.
    pub fn new(
        name: &'static str,
        target: impl Into<StreamId>,
        lane: impl Into<StreamId>,
        use_case: impl UseCase + Debug + 'static,
    ) -> Self {
        Self {
            name,
            target: target.into(),
            lane: lane.into(),
            action: Arc::new(use_case),
        }
    }

    pub(super) async fn carry_out(
        &self,
        executor: &Executor,
        request: &CommandEnvelope,
    ) -> Result<(), CommandError> {
        self.action.carry_out(executor, request).await
    }
}

/// Use case with its aggregate type erased.
#[async_trait]
trait Action: Debug + Send + Sync {
    async fn carry_out(
        &self,
        executor: &Executor,
        request: &CommandEnvelope,
    ) -> Result<(), CommandError>;
}

#[async_trait]
impl<U: UseCase + Debug> Action for U {
    async fn carry_out(
        &self,
        executor: &Executor,
        request: &CommandEnvelope,
    ) -> Result<(), CommandError> {
        executor.execute(request, self).await.map(drop)
    }
}
