//! Entries of the catalog: modalities, procedures, PACS endpoints, report templates, reading profiles and AI models.
//!
//! The id of an entry is derived from its natural key, so each key is unique. An entry has no patient data, and it is
//! never deleted, but made inactive. Entries differ in their members and rules, which each states by implementing
//! [`CatalogEntry`]; that makes it an [`Aggregate`].
//!
//! ```text
//! (none) --Create--> active <--Update--> inactive
//! ```

mod event;

use std::error::Error as StdError;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use event::{Created, Event, Updated};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::ids::{PatientId, StreamId, TenantId};
use crate::json::Members;
use crate::phi::Phi;

/// The members of a catalog resource, and their rules.
pub trait CatalogEntry:
    Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// Names of the resource in events and errors.
    const NAMES: EntryNames;

    /// Id of the resource.
    type Id: Copy + Debug + PartialEq + Serialize + DeserializeOwned + Into<StreamId> + Send + Sync;
    /// The entry as its first event records it: the entry itself, unless the resource hides a member.
    type Recorded: Serialize + DeserializeOwned + From<Self> + Into<Self>;
    /// Changed members, as events record them.
    type Changes: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync;
    /// Changes that a client requests: [`Self::Changes`], unless a member of them is a merge patch.
    type Update: Clone + Debug + PartialEq + Send + Sync;
    /// Reasons why an entry is invalid.
    type Invalid: StdError + Send + Sync + 'static;

    /// Returns the id, which is derived from the natural key.
    fn id(&self, tenant: TenantId) -> Self::Id;

    /// Merges the requested changes into the entry; returns the changes that an event records.
    ///
    /// # Errors
    ///
    /// [`Self::Invalid`] if a merged member is invalid.
    fn merge(&self, update: Self::Update) -> Result<Self::Changes, Self::Invalid>;

    /// Returns the entry after the changes.
    #[must_use]
    fn apply(self, changes: Self::Changes) -> Self;

    /// Checks the rules that concern several members.
    ///
    /// # Errors
    ///
    /// [`Self::Invalid`] with the first rule that the entry violates.
    fn validate(&self) -> Result<(), Self::Invalid> {
        Ok(())
    }

    /// See [`Aggregate::unshown_bytes`].
    fn unshown_bytes(&self) -> usize {
        0
    }
}

/// Names of a catalog resource.
#[derive(Debug, Clone, Copy)]
pub struct EntryNames {
    /// See [`Aggregate::STREAM_TYPE`]. Frozen.
    pub stream_type: &'static str,
    /// Wire name of the event of creation, frozen, and its schema version.
    pub created: (&'static str, u32),
    /// Wire name of the event of a change, frozen, and its schema version.
    pub updated: (&'static str, u32),
    /// Member of the events that holds the id. Frozen.
    pub id: &'static str,
    /// Error text for a key that is taken.
    pub already_exists: &'static str,
    /// Error text for an entry that does not exist.
    pub not_found: &'static str,
}

/// Commands of a catalog entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Command<E: CatalogEntry> {
    /// Adds the entry to the catalog.
    Create(Box<E>),
    /// Changes the given members.
    Update(Box<E::Update>),
}

/// Reasons why a command of a catalog entry is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error<I> {
    /// The key is taken; the text is [`EntryNames::already_exists`].
    #[error("{0}")]
    AlreadyExists(&'static str),
    /// The entry does not exist; the text is [`EntryNames::not_found`].
    #[error("{0}")]
    NotFound(&'static str),
    /// The entry would be invalid.
    #[error(transparent)]
    Invalid(#[from] I),
}

impl<E: CatalogEntry> Aggregate for E {
    const STREAM_TYPE: &'static str = E::NAMES.stream_type;

    type Command = Command<E>;
    type Event = Event<E>;
    type Error = Error<E::Invalid>;

    fn decide(
        state: Option<&Self>,
        command: Command<E>,
        context: &Context,
    ) -> Result<Vec<Event<E>>, Self::Error> {
        match (state, command) {
            (None, Command::Create(entry)) => create(*entry, context),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists(E::NAMES.already_exists)),
            (Some(entry), Command::Update(requested)) => update(entry, *requested, context),
            (None, Command::Update(_)) => Err(Error::NotFound(E::NAMES.not_found)),
        }
    }

    fn evolve(state: Option<Self>, event: Event<E>) -> Result<Self, UnexpectedEvent> {
        match (state, event) {
            (None, Event::Created(created)) => Ok(created.entry),
            (Some(entry), Event::Updated(updated)) => Ok(entry.apply(updated.changes)),
            (Some(_), Event::Created(_)) => Err(UnexpectedEvent {
                event: E::NAMES.created.0,
            }),
            (None, Event::Updated(_)) => Err(UnexpectedEvent {
                event: E::NAMES.updated.0,
            }),
        }
    }

    fn phi(&self) -> Option<Phi<Members>> {
        None
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }

    fn unshown_bytes(&self) -> usize {
        CatalogEntry::unshown_bytes(self)
    }
}

type Decision<E> = Result<Vec<Event<E>>, Error<<E as CatalogEntry>::Invalid>>;

fn create<E: CatalogEntry>(entry: E, context: &Context) -> Decision<E> {
    entry.validate()?;
    let id = entry.id(context.tenant_id);
    Ok(vec![Event::Created(Box::new(Created { id, entry }))])
}

fn update<E: CatalogEntry>(entry: &E, requested: E::Update, context: &Context) -> Decision<E> {
    let changes = entry.merge(requested)?;
    let after = entry.clone().apply(changes.clone());
    after.validate()?;
    if after == *entry {
        return Ok(Vec::new());
    }
    let id = entry.id(context.tenant_id);
    Ok(vec![Event::Updated(Box::new(Updated { id, changes }))])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::given_when_then::{context, given};

    pub(crate) fn created<E: CatalogEntry>(entry: &E) -> Event<E> {
        let id = entry.id(context().tenant_id);
        let entry = entry.clone();
        Event::Created(Box::new(Created { id, entry }))
    }

    pub(crate) fn updated<E: CatalogEntry>(entry: &E, changes: E::Changes) -> Event<E> {
        let id = entry.id(context().tenant_id);
        Event::Updated(Box::new(Updated { id, changes }))
    }

    pub(crate) fn create<E: CatalogEntry>(entry: &E) -> Command<E> {
        Command::Create(Box::new(entry.clone()))
    }

    pub(crate) fn update<E: CatalogEntry>(update: E::Update) -> Command<E> {
        Command::Update(Box::new(update))
    }

    /// Checks that an entry is created once, and updated where it exists and `requested` makes a difference.
    #[track_caller]
    pub(crate) fn assert_is_entry<E: CatalogEntry>(
        entry: &E,
        requested: &E::Update,
        changes: E::Changes,
    ) where
        E::Invalid: PartialEq,
    {
        let update = || update::<E>(requested.clone());
        given::<E>([]).when(create(entry)).then([created(entry)]);
        given::<E>([created(entry)])
            .when(create(entry))
            .refused(Error::AlreadyExists(E::NAMES.already_exists));
        given::<E>([])
            .when(update())
            .refused(Error::NotFound(E::NAMES.not_found));
        let updated = updated(entry, changes);
        given::<E>([created(entry)])
            .when(update())
            .then([updated.clone()]);
        given::<E>([created(entry), updated])
            .when(update())
            .then([]);
    }
}
