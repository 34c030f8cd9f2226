//! Load, decide, append; on a race again, until the deadline.

mod idempotency;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::{CorrelationId, EventId, StreamId, TenantId};
use roentgen_domain::{Actor, Aggregate, Context, Versioned};
use roentgen_store::database::Store;
use roentgen_store::error::Unavailable;
use roentgen_store::fair::ShareOwner;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::{Append, AppendReceipt, HeldReservation};
use roentgen_store::reads::Reads;
use roentgen_store::{StoreError, clock};
use tokio::time::Instant;

use crate::error::CommandError;
use crate::json_schema::Schemas;
use crate::state_cache::StateCache;
use crate::stream_locks::StreamLocks;
use crate::unit_of_work::{self, UnitOfWork};
pub(crate) use idempotency::EFFECT_RESERVATION_TTL_MS;
pub use idempotency::Idempotency;

/// How long a command may take, races and queues included.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// Who asks, and on what terms.
#[derive(Debug, Clone)]
pub struct CommandEnvelope {
    /// The caller's tenant.
    pub tenant_id: TenantId,
    /// The caller.
    pub actor: Actor,
    /// What this belongs to.
    pub correlation_id: CorrelationId,
    /// The event that led to it, where one did.
    pub causation_id: Option<EventId>,
    /// The version that the caller has seen.
    pub if_match: Option<u64>,
    /// The caller's key, where it sent one.
    pub idempotency: Option<Idempotency>,
}

impl CommandEnvelope {
    /// The system's own, in consequence of an event.
    pub(crate) fn system(
        tenant_id: TenantId,
        correlation_id: CorrelationId,
        causation_id: EventId,
        idempotency: Option<Idempotency>,
    ) -> Self {
        Self {
            tenant_id,
            actor: Actor::system(),
            correlation_id,
            causation_id: Some(causation_id),
            if_match: None,
            idempotency,
        }
    }

    /// Who has the turns that this takes: a policy does not wait behind the callers of its tenant.
    pub(crate) const fn party(&self) -> ShareOwner {
        match self.causation_id {
            Some(_) => ShareOwner::System,
            None => ShareOwner::Tenant(self.tenant_id),
        }
    }

    /// Reads of what the tenant has.
    pub(crate) fn reads(&self, store: &Store) -> Reads {
        match self.party() {
            ShareOwner::Tenant(tenant) => Reads::of_tenant(store, tenant),
            ShareOwner::System => Reads::of_system_for(store, self.tenant_id),
        }
    }

    /// Whether the system asks in consequence of an event.
    pub(crate) const fn is_systems(&self) -> bool {
        self.causation_id.is_some()
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            tenant_id: self.tenant_id,
            actor: self.actor.clone(),
            now: clock::now(),
            fresh_id: clock::fresh_id(),
        }
    }
}

/// What a command is about: decides by [`UnitOfWork`], and may be asked again where an attempt lost a race.
pub trait UseCase: Send + Sync {
    /// The resource that it answers with.
    type Aggregate: Aggregate;

    /// The stream on which commands queue, where it is known before the decision.
    fn stream(&self, tenant: TenantId) -> Option<StreamId>;

    /// Reads and decides; answers with the resource as it will be.
    fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> impl Future<Output = Result<Versioned<Self::Aggregate>, CommandError>> + Send;
}

/// What a command led to.
#[derive(Debug, Clone)]
pub struct CommandOutcome<A> {
    /// The resource after it.
    pub resource: Versioned<A>,
    /// A log position at which a read shows it.
    pub position: u64,
    /// Whether this is the first answer again.
    pub repeated: bool,
    /// Whether the resource began with it.
    pub created: bool,
}

/// Carries out use cases. Clones share locks, states and schemas.
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
    /// Over this store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            states: Arc::default(),
            locks: Arc::default(),
            schemas: Schemas::default(),
        }
    }

    /// What it works on.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Executes a use case. Later reads on this node see its result.
    ///
    /// # Errors
    ///
    /// [`CommandError::Domain`] if a rule rejects the command, its other variants if references or parameters do not
    /// hold. Nothing was written, unless the error is [`StoreError::OutcomeUnknown`].
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

    /// PHI is not answered with past the time of the key that opened it: after a long wait the answer is folded anew.
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
        // It is written by now, whatever became of the answer.
        let folded = folded.ok().flatten().ok_or(StoreError::OutcomeUnknown)?;
        Ok(CommandOutcome {
            resource: folded,
            ..outcome
        })
    }

    /// A repeat may find a state in which the command is refused by now; it gets the first answer all the same.
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

    /// The first answer again, rendered from the stream at the version it had.
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
        // The events of one append were recorded at one time.
        let created = resource.created_at == resource.updated_at;
        Ok(CommandOutcome {
            resource,
            position: head.position,
            repeated: true,
            created,
        })
    }
}

/// What a command had to read did not come in time. Nothing was sent yet.
fn deadline_exceeded() -> CommandError {
    StoreError::Unavailable(Unavailable::Deadline).into()
}

/// Whether the append has the stream's first event.
fn creates_stream(append: &Append, stream_id: StreamId) -> bool {
    let mut events = append.events.iter();
    events.any(|event| event.stream_id == stream_id && event.version == 1)
}

/// The streams that an append stood on.
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

/// Whether the refusal could be another with a later state: a stream that is too large only grows.
const fn changes_with_state(error: &CommandError) -> bool {
    is_state_dependent(error) && !matches!(error, CommandError::TooLarge)
}

/// Whether the refusal could be another with another state.
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
