//! Executes commands: loads, decides and appends, and retries on version conflicts until the deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::database::Store;
use roentgen_store::error::Unavailable;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::{Append, AppendReceipt, HeldReservation};
use roentgen_store::{StoreError, clock};
use tokio::time::Instant;

use crate::envelope::CommandEnvelope;
use crate::error::CommandError;
use crate::json_schema::Schemas;
use crate::state_cache::StateCache;
use crate::stream_locks::StreamLocks;
use crate::unit_of_work::{self, UnitOfWork};

/// Maximum duration of a command, 2 s, including queueing and version conflicts.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// Decision of one command on a [`UnitOfWork`]. `decide` is called again after a version conflict.
pub trait UseCase: Send + Sync {
    /// Aggregate that the command returns.
    type Aggregate: Aggregate;

    /// Returns the stream on which commands queue, if it is known before the decision.
    fn stream(&self, tenant: TenantId) -> Option<StreamId>;

    /// Reads and decides. Returns the resource as it is after the append.
    fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> impl Future<Output = Result<Versioned<Self::Aggregate>, CommandError>> + Send;
}

/// Outcome of a command.
#[derive(Debug, Clone)]
pub struct CommandOutcome<A> {
    /// Resource after the command.
    pub resource: Versioned<A>,
    /// Log position from which on reads include the outcome.
    pub position: u64,
    /// Whether this is the stored outcome of an idempotent retry.
    pub repeated: bool,
    /// Whether the command created the resource.
    pub created: bool,
}

/// Executes use cases. Clones share locks, cached states and compiled schemas.
#[derive(Debug, Clone)]
pub struct Executor {
    store: Store,
    states: Arc<StateCache>,
    locks: Arc<StreamLocks>,
    schemas: Schemas,
}

enum Attempt<A> {
    Done(CommandOutcome<A>),
    Retry,
}

impl Executor {
    /// Creates an executor on the given store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            states: Arc::default(),
            locks: Arc::default(),
            schemas: Schemas::default(),
        }
    }

    /// Returns the store.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Executes a use case. Later reads on this node include its result.
    ///
    /// # Errors
    ///
    /// [`CommandError::Domain`] if an aggregate rejects the command; the other variants if a reference, a parameter or
    /// a precondition is invalid. Nothing was written, unless the error is [`StoreError::OutcomeUnknown`].
    pub async fn execute<U: UseCase>(
        &self,
        request: &CommandEnvelope,
        use_case: &U,
    ) -> Result<CommandOutcome<U::Aggregate>, CommandError> {
        let outcome = self.run_until_deadline(request, use_case).await?;
        let accepted = self.store.appender.read_watermarks();
        accepted.record_acknowledged(request.tenant_id, outcome.position);
        Ok(outcome)
    }

    async fn run_until_deadline<U: UseCase>(
        &self,
        request: &CommandEnvelope,
        use_case: &U,
    ) -> Result<CommandOutcome<U::Aggregate>, CommandError> {
        let deadline = Instant::now() + DEADLINE;
        let _queued = match use_case.stream(request.tenant_id) {
            Some(stream_id) => Some(
                self.locks
                    .lock(request.party(), (request.tenant_id, stream_id), deadline)
                    .await
                    .ok_or(CommandError::Contention)?,
            ),
            None => None,
        };
        let mut is_first = true;
        while Instant::now() < deadline {
            let attempt = unit_of_work::Attempt { is_first, deadline };
            let mut work =
                UnitOfWork::begin(&self.store, &self.states, &self.schemas, request, attempt)?;
            match self.attempt(request, use_case, &mut work, deadline).await {
                Ok(Attempt::Done(outcome)) => return self.in_time(request, &work, outcome).await,
                Ok(Attempt::Retry) => {}
                Err(refused) => return self.stored_outcome_or_reject(request, refused).await,
            }
            is_first = false;
        }
        Err(CommandError::Contention)
    }

    async fn attempt<U: UseCase>(
        &self,
        request: &CommandEnvelope,
        use_case: &U,
        work: &mut UnitOfWork<'_>,
        deadline: Instant,
    ) -> Result<Attempt<U::Aggregate>, CommandError> {
        let decided = tokio::time::timeout_at(deadline, use_case.decide(work)).await;
        let resource = match decided.unwrap_or_else(|_elapsed| Err(deadline_exceeded())) {
            Ok(resource) => resource,
            Err(refused) if work.used_cached_state() && changes_with_state(&refused) => {
                return Ok(Attempt::Retry);
            }
            Err(refused) => return Err(refused),
        };
        let mut append = work.take_append();
        append
            .claims
            .extend(request.idempotency.map(|key| key.claim(&resource)));
        let retry = TouchedStreams::new(request.tenant_id, &append);
        let created = creates_stream(&append, resource.id);
        let appender = &self.store.appender;
        match appender.append(request.party(), append, deadline).await {
            Ok(appended) => Ok(Attempt::Done(CommandOutcome {
                created,
                ..done(work, resource, appended)
            })),
            Err(StoreError::KeyTaken(held)) => {
                self.stored_outcome(request, held).await.map(Attempt::Done)
            }
            Err(StoreError::Conflict { .. } | StoreError::PatientKeyExists) => {
                metrics::counter!("roentgen_command_races_total").increment(1);
                retry.forget(&self.states);
                Ok(Attempt::Retry)
            }
            Err(error) => {
                retry.forget(&self.states);
                Err(error.into())
            }
        }
    }

    /// Returns the outcome, and reloads its resource if the patient key that decrypted it is outdated: after a long
    /// wait, the key may have been deleted.
    async fn in_time<A: Aggregate>(
        &self,
        request: &CommandEnvelope,
        work: &UnitOfWork<'_>,
        outcome: CommandOutcome<A>,
    ) -> Result<CommandOutcome<A>, CommandError> {
        let CommandOutcome { resource, .. } = &outcome;
        let is_of_patient = resource.state.patient_id().is_some();
        if !is_of_patient || !loader::is_outdated(work.key_seen(resource.id)) {
            return Ok(outcome);
        }
        let as_of = AsOf::Version(resource.version);
        let reads = request.reads(&self.store);
        let keyring = &self.store.keyring;
        let folded = loader::load::<A>(&reads, keyring, resource.id, as_of).await;
        // The append is committed, whatever the reload returns.
        let folded = folded.ok().flatten().ok_or(StoreError::OutcomeUnknown)?;
        Ok(CommandOutcome {
            resource: folded,
            ..outcome
        })
    }

    /// Returns the stored outcome of the idempotency key, if any, else the error. A retry may find a state in which the
    /// command is rejected by now.
    async fn stored_outcome_or_reject<A: Aggregate>(
        &self,
        request: &CommandEnvelope,
        refused: CommandError,
    ) -> Result<CommandOutcome<A>, CommandError> {
        let Some(idempotency) = request.idempotency.filter(|_| is_state_dependent(&refused)) else {
            return Err(refused);
        };
        let reads = request.reads(&self.store);
        match reads.claim(idempotency.key(), clock::now_ms()).await? {
            Some(held) => self.stored_outcome(request, held).await,
            None => Err(refused),
        }
    }

    /// Returns the stored outcome of a key: the resource at the version that it had then.
    async fn stored_outcome<A: Aggregate>(
        &self,
        request: &CommandEnvelope,
        held: HeldReservation,
    ) -> Result<CommandOutcome<A>, CommandError> {
        if request
            .idempotency
            .is_some_and(|key| !key.came_with(held.request_hash))
        {
            return Err(CommandError::IdempotencyKeyReused);
        }
        let reads = request.reads(&self.store);
        let keyring = &self.store.keyring;
        let as_of = AsOf::Version(held.version);
        let resource = loader::load::<A>(&reads, keyring, held.stream_id, as_of).await?;
        let resource = resource.ok_or(StoreError::OutcomeUnknown)?;
        let head = reads.head().await?;
        // All events of one append have the same recorded time.
        let created = resource.created_at == resource.updated_at;
        Ok(CommandOutcome {
            resource,
            position: head.position,
            repeated: true,
            created,
        })
    }
}

/// Returns the error for a read that exceeded the deadline before anything was appended.
fn deadline_exceeded() -> CommandError {
    StoreError::Unavailable(Unavailable::Deadline).into()
}

/// Checks whether the append contains the first event of the stream.
fn creates_stream(append: &Append, stream_id: StreamId) -> bool {
    let mut events = append.events.iter();
    events.any(|event| event.stream_id == stream_id && event.version == 1)
}

/// Streams of which an append expected a version.
struct TouchedStreams {
    tenant: TenantId,
    streams: Vec<StreamId>,
}

impl TouchedStreams {
    fn new(tenant: TenantId, append: &Append) -> Self {
        let streams = append.checks.iter().map(|check| check.stream_id);
        Self {
            tenant,
            streams: streams.collect(),
        }
    }

    fn forget(&self, states: &StateCache) {
        for stream_id in &self.streams {
            states.forget((self.tenant, *stream_id));
        }
    }
}

fn done<A: Aggregate>(
    work: &mut UnitOfWork<'_>,
    resource: Versioned<A>,
    appended: AppendReceipt,
) -> CommandOutcome<A> {
    let resource = work.on_committed(resource, appended.recorded_at);
    CommandOutcome {
        resource,
        position: appended.position,
        repeated: false,
        created: false,
    }
}

/// Checks whether a later state could change the result. A stream that is too large stays too large.
const fn changes_with_state(error: &CommandError) -> bool {
    is_state_dependent(error) && !matches!(error, CommandError::TooLarge)
}

/// Checks whether the error depends on the state that the command read.
const fn is_state_dependent(error: &CommandError) -> bool {
    match error {
        CommandError::Domain(_)
        | CommandError::ReferenceNotFound(_)
        | CommandError::ReferenceInactive(_)
        | CommandError::ReferenceMismatch(_)
        | CommandError::Invalid(_)
        | CommandError::IdOfOtherType
        | CommandError::TooLarge
        | CommandError::VersionMismatch { .. } => true,
        CommandError::IdempotencyKeyReused | CommandError::Contention | CommandError::Store(_) => {
            false
        }
    }
}
