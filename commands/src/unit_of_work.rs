//! Unit of work: one attempt at a command, with its reads, decisions and append.

mod added;
mod history;
mod judged;
mod settled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use roentgen_domain::aggregate::EventHeader;
use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_domain::{Aggregate, Context, EventMetadata, StreamBudget, Versioned};
use roentgen_store::StoreError;
use roentgen_store::database::Store;
use roentgen_store::error::EventReadError;
use roentgen_store::keys::PatientKey;
use roentgen_store::loader::{self, AsOf, Found};
use roentgen_store::log::{Append, ExpectedVersion};
use roentgen_store::reads::Reads;
use tokio::time::Instant as Deadline;

use crate::envelope::CommandEnvelope;
use crate::error::{CommandError, DomainError};
use crate::json_schema::Schemas;
use crate::state_cache::weight::is_within;
use crate::state_cache::{AnyState, CachedState, StateCache};
use settled::StateFinalizer;

/// Parameters of an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) is_first: bool,
    pub(crate) deadline: Deadline,
}

/// One attempt at a command.
pub struct UnitOfWork<'a> {
    store: &'a Store,
    states: &'a StateCache,
    schemas: &'a Schemas,
    request: &'a CommandEnvelope,
    /// Deadline of the command.
    deadline: Deadline,
    reads: Reads,
    context: Context,
    metadata: String,
    begun: Instant,
    /// Whether the attempt uses cached states, and assumes without a read that a new aggregate does not exist.
    trusts_guesses: bool,
    guessed: bool,
    checks: BTreeMap<StreamId, u64>,
    /// States that were read or decided. An attempt sees one consistent history of a stream, even if others append to
    /// it.
    seen: BTreeMap<StreamId, Option<CachedState>>,
    /// Streams that exist with another type than requested. The type of a stream never changes.
    of_other_type: BTreeSet<StreamId>,
    pub(crate) append: Append,
    finishes: Vec<StateFinalizer>,
    new_keys: Vec<(PatientId, PatientKey)>,
}

impl std::fmt::Debug for UnitOfWork<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

impl<'a> UnitOfWork<'a> {
    pub(crate) fn begin(
        store: &'a Store,
        states: &'a StateCache,
        schemas: &'a Schemas,
        request: &'a CommandEnvelope,
        attempt: Attempt,
    ) -> Result<Self, StoreError> {
        let metadata = EventMetadata {
            actor: request.actor.clone(),
            correlation_id: request.correlation_id,
            causation_id: request.causation_id,
        };
        Ok(Self {
            store,
            states,
            schemas,
            request,
            deadline: attempt.deadline,
            reads: request.reads(store),
            context: request.context(),
            begun: Instant::now(),
            metadata: metadata.to_json()?,
            trusts_guesses: attempt.is_first,
            guessed: false,
            checks: BTreeMap::new(),
            seen: BTreeMap::new(),
            of_other_type: BTreeSet::new(),
            append: Append::default(),
            finishes: Vec::new(),
            new_keys: Vec::new(),
        })
    }

    /// Returns actor, time and a new id for this attempt.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Reads an aggregate. The append expects its version, or its absence. Returns `None` for an aggregate of another
    /// tenant or of another type. Repeated reads return the same state.
    ///
    /// # Errors
    ///
    /// [`CommandError::Store`] if the database fails or the stream cannot be folded.
    pub async fn read<A: Aggregate>(
        &mut self,
        id: impl Into<StreamId>,
    ) -> Result<Option<Arc<Versioned<A>>>, CommandError> {
        let stream_id = id.into();
        let state = self.state_of::<A>(stream_id).await?;
        let version = state.as_ref().map_or(0, |known| known.version);
        if !self.of_other_type.contains(&stream_id) {
            self.checks.entry(stream_id).or_insert(version);
        }
        Ok(state)
    }

    async fn state_of<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
    ) -> Result<Option<Arc<Versioned<A>>>, CommandError> {
        if let Some(seen) = self.seen.get(&stream_id) {
            let state = seen.clone().map(|known| known.state);
            return Ok(state.and_then(|known| known.downcast().ok()));
        }
        if let Some(state) = self.cached::<A>(stream_id) {
            return Ok(Some(state));
        }
        Ok(self.load::<A>(stream_id).await?)
    }

    fn cached<A: Aggregate>(&mut self, stream_id: StreamId) -> Option<Arc<Versioned<A>>> {
        if !self.trusts_guesses {
            return None;
        }
        let key = (self.context.tenant_id, stream_id);
        let (state, key_seen) = self.states.get::<A>(key)?;
        self.guessed = true;
        let seen = CachedState {
            state: Arc::clone(&state) as AnyState,
            key_seen,
        };
        self.seen.insert(stream_id, Some(seen));
        Some(state)
    }

    async fn load<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
    ) -> Result<Option<Arc<Versioned<A>>>, StoreError> {
        let keyring = &self.store.keyring;
        let found = loader::find::<A>(&self.reads, keyring, stream_id, AsOf::Now).await?;
        let loaded = match found {
            Found::State(loaded) => Some(*loaded),
            Found::Nothing => None,
            Found::OtherType => {
                self.of_other_type.insert(stream_id);
                None
            }
        };
        let Some(loaded) = loaded else {
            self.seen.insert(stream_id, None);
            return Ok(None);
        };
        let state = Arc::new(loaded.resource);
        let seen = CachedState {
            state: Arc::clone(&state) as AnyState,
            key_seen: loaded.key_seen,
        };
        self.states.put(Arc::clone(&state), loaded.key_seen);
        self.seen.insert(stream_id, Some(seen));
        Ok(Some(state))
    }

    /// Decides a command that creates an aggregate. `If-Match` cannot match an absent aggregate. The first attempt does
    /// not check whether the aggregate exists.
    ///
    /// # Errors
    ///
    /// [`CommandError::Domain`] if the aggregate rejects the command, [`CommandError::Store`] if the database fails.
    pub async fn create<A: Aggregate>(
        &mut self,
        id: impl Into<StreamId>,
        command: A::Command,
    ) -> Result<Versioned<A>, CommandError>
    where
        DomainError: From<A::Error>,
    {
        let stream_id = id.into();
        let conditional = self.request.if_match.is_some();
        let looked = self.seen.contains_key(&stream_id);
        let known = if self.trusts_guesses && !conditional && !looked {
            self.cached::<A>(stream_id)
        } else {
            self.read::<A>(stream_id).await?
        };
        if conditional && known.is_none() {
            return Err(CommandError::VersionMismatch { actual: 0 });
        }
        self.check_if_match(known.as_deref().map(|value| value.version))?;
        let after = self
            .decide_on(stream_id, known, command, StreamBudget::Bounded)
            .await?;
        Ok(after.ok_or(StoreError::OutcomeUnknown)?)
    }

    /// Decides a command on an aggregate.
    ///
    /// # Errors
    ///
    /// [`CommandError::Domain`] if the aggregate rejects the command, [`CommandError::VersionMismatch`] if `If-Match`
    /// names another version, [`CommandError::Store`] if the database fails.
    pub async fn decide<A: Aggregate>(
        &mut self,
        id: impl Into<StreamId>,
        command: A::Command,
    ) -> Result<Versioned<A>, CommandError>
    where
        DomainError: From<A::Error>,
    {
        let stream_id = id.into();
        let state = self.read::<A>(stream_id).await?;
        let first_read = self.checks.get(&stream_id).copied();
        self.check_if_match(first_read.filter(|_| state.is_some()))?;
        let after = self
            .decide_on(stream_id, state, command, StreamBudget::Bounded)
            .await?;
        Ok(after.ok_or(StoreError::OutcomeUnknown)?)
    }

    /// Decides a command on a related aggregate, not the one that the use case returns. `If-Match` does not apply to
    /// it, and the reserved budget of the stream is available. Returns `None` if the aggregate does not exist; then the
    /// command has no effect.
    ///
    /// # Errors
    ///
    /// [`CommandError::Domain`] if the aggregate rejects the command, [`CommandError::Store`] if the database fails.
    pub async fn decide_related<A: Aggregate>(
        &mut self,
        id: impl Into<StreamId>,
        command: A::Command,
    ) -> Result<Option<Versioned<A>>, CommandError>
    where
        DomainError: From<A::Error>,
    {
        let stream_id = id.into();
        let state = self.read::<A>(stream_id).await?;
        self.decide_on(stream_id, state, command, StreamBudget::Reserved)
            .await
    }

    async fn decide_on<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        state: Option<Arc<Versioned<A>>>,
        command: A::Command,
        at_least: StreamBudget,
    ) -> Result<Option<Versioned<A>>, CommandError>
    where
        DomainError: From<A::Error>,
    {
        let current = state.as_deref().map(|versioned| &versioned.state);
        let room = A::room(current, &command)
            .max(at_least)
            .max(self.systems_room());
        let decided = A::decide(current, command, &self.context);
        let events = decided.map_err(DomainError::from)?;
        if self.of_other_type.contains(&stream_id) {
            return match events.as_slice() {
                [] => Ok(None),
                [_, ..] => Err(CommandError::IdOfOtherType),
            };
        }
        let version = state.as_deref().map_or(0, |value| value.version);
        let expected = *self.checks.entry(stream_id).or_insert(version);
        let before = self.seen.get(&stream_id).and_then(Option::as_ref);
        let mut key_seen = before.map_or(self.begun, |seen| seen.key_seen);
        let mut after = state.map(Arc::unwrap_or_clone);
        for event in events {
            let version = after.as_ref().map_or(0, |known| known.version) + 1;
            let added = self.add::<A>(&event, stream_id, version).await?;
            key_seen = added.key_seen.map_or(key_seen, |seen| seen.min(key_seen));
            let standing = EventHeader {
                stream_id,
                tenant_id: self.context.tenant_id,
                version,
                recorded_at: self.context.now,
                size: added.size,
            };
            after = Some(evolve(after, event, standing)?);
        }
        let grown = after.as_ref().filter(|after| after.version > version);
        if grown.is_some_and(|after| !is_within(after, room)) {
            return Err(CommandError::TooLarge);
        }
        if let Some(after) = &after {
            let state = Arc::new(after.clone()) as AnyState;
            self.seen
                .insert(stream_id, Some(CachedState { state, key_seen }));
            self.finish(stream_id, after.clone(), expected, key_seen);
        }
        Ok(after)
    }

    /// Returns the stream budget of the command. Commands that the system issues because of an event may use the
    /// reserve.
    const fn systems_room(&self) -> StreamBudget {
        if self.request.is_systems() {
            StreamBudget::Reserved
        } else {
            StreamBudget::Bounded
        }
    }

    /// Checks `If-Match` against the version that the aggregate had before the attempt.
    fn check_if_match(&self, version: Option<u64>) -> Result<(), CommandError> {
        match (self.request.if_match, version) {
            (Some(asked), Some(actual)) if asked != actual => {
                Err(CommandError::VersionMismatch { actual })
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Checks whether the decision is based on cached states that no append has verified.
    pub(crate) const fn used_cached_state(&self) -> bool {
        self.guessed
    }

    /// Takes the append. It expects the version of every stream that was read.
    pub(crate) fn take_append(&mut self) -> Append {
        let mut append = std::mem::take(&mut self.append);
        let checks = std::mem::take(&mut self.checks).into_iter();
        append.checks = checks
            .map(|(stream_id, expected)| ExpectedVersion {
                stream_id,
                expected,
            })
            .collect();
        append
    }

    /// Returns the time at which the patient key of a stream was last requested from the database.
    pub(crate) fn key_seen(&self, stream_id: StreamId) -> Instant {
        let seen = self.seen.get(&stream_id).and_then(Option::as_ref);
        seen.map_or(self.begun, |known| known.key_seen)
    }
}

fn evolve<A: Aggregate>(
    before: Option<Versioned<A>>,
    event: A::Event,
    standing: EventHeader,
) -> Result<Versioned<A>, StoreError> {
    Versioned::evolve(before, event, standing).map_err(|misplaced| StoreError::Unreadable {
        stream_id: standing.stream_id,
        version: standing.version,
        source: EventReadError::Misplaced(misplaced),
    })
}
