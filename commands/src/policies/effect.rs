//! Effects: use cases in consequence of an event.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use roentgen_domain::ids::StreamId;

use crate::error::CommandError;
use crate::executor::{CommandEnvelope, Executor, UseCase};

/// Something to be done because of an event.
#[derive(Debug, Clone)]
pub struct Effect {
    /// What is done. Frozen: it is part of the claim.
    pub(super) name: &'static str,
    /// The stream that it is done to: with the name, it tells the effects of one event apart.
    pub(super) target: StreamId,
    /// Effects with one lane are carried out in order.
    pub(super) lane: StreamId,
    action: Arc<dyn Action>,
}

impl Effect {
    /// A use case, done to `target`, in order with whatever else has this `lane`.
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

/// A use case, whatever its aggregate.
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
