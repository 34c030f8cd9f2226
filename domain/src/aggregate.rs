//! What every aggregate is: `decide`, `evolve`, and events with frozen wire names.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::Actor;
use crate::growth::{Size, StreamBudget, VisiblePhi};
use crate::ids::{PatientId, StreamId, TenantId};
use crate::json::Members;
use crate::phi::Phi;
use crate::time::Timestamp;

/// What a decision may know of the world beside the state.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose data this is.
    pub tenant_id: TenantId,
    /// Who commands.
    pub actor: Actor,
    /// The server's clock when the command was taken up.
    pub now: Timestamp,
    /// A fresh UUIDv7, for an id the command needs.
    pub fresh_id: Uuid,
}

/// A consistency boundary: one stream of events, decided one command at a time.
pub trait Aggregate: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// `stream.type` in the envelope. Frozen.
    const STREAM_TYPE: &'static str;

    /// What may be asked of it.
    type Command: Send;
    /// What may happen to it.
    type Event: DomainEvent;
    /// Why it refuses.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Decides a command: returns the events it leads to, none if the state already is as asked. `state` is `None`
    /// before the first event.
    ///
    /// # Errors
    ///
    /// The aggregate's own error if its rules reject the command. Nothing is written.
    fn decide(
        state: Option<&Self>,
        command: Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Error>;

    /// Returns the state after `event`.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEvent`] if the event cannot follow in this state.
    fn evolve(state: Option<Self>, event: Self::Event) -> Result<Self, UnexpectedEvent>;

    /// The PHI members of the resource, where it has any that are open.
    fn phi(&self) -> Option<Phi<Members>>;

    /// The patient under whose key this stream's PHI is sealed.
    fn patient_id(&self) -> Option<PatientId>;

    /// The room that a command has in the stream; [`StreamBudget::Bounded`] for edits.
    fn room(_state: Option<&Self>, _command: &Self::Command) -> StreamBudget {
        StreamBudget::Bounded
    }

    /// What the state holds in memory beyond the text that the resource and its PHI show, in bytes.
    fn unshown_bytes(&self) -> usize {
        0
    }

    /// What the parts take in memory that show by themselves ([`VisiblePhi::alone`]), in bytes: [`Self::phi`] has the
    /// last of them only.
    fn alone_bytes(&self) -> usize {
        0
    }

    /// Which sealed parts of the stream still show in the resource.
    fn shown_parts(&self) -> VisiblePhi {
        VisiblePhi::default()
    }
}

/// An event stands where none of its kind can: the stream is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unexpected event {event} in this state")]
pub struct UnexpectedEvent {
    /// The wire name.
    pub event: &'static str,
}

/// A closed set of facts about one kind of aggregate. Implemented by [`domain_events!`](crate::domain_events) only.
pub trait DomainEvent: Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Every wire name with its current schema version.
    const EVENT_TYPES: &'static [(&'static str, u32)];

    /// The wire name. Frozen.
    fn event_type(&self) -> &'static str;

    /// The version of the payload's shape.
    fn schema_version(&self) -> u32;

    /// Returns the payload as JSON, without PHI.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the event data cannot be serialised: an event is complete or it is not written.
    fn payload(&self) -> Result<String, EncodeError>;

    /// Returns the PHI members as one JSON object, to be sealed; `None` if the event has none.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if they cannot be serialised.
    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, EncodeError>;

    /// The patient under whose key the PHI is sealed.
    fn patient_id(&self) -> Option<PatientId>;

    /// Decodes an event from its stored bytes. `phi` is `None` if there is none, or if it cannot or need not be opened.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unknown`] for an event type or schema version that this release does not know,
    /// [`DecodeError::Malformed`] for bytes that do not have its schema.
    fn decode(
        name: &str,
        schema_version: u32,
        payload: &[u8],
        phi: Option<&[u8]>,
    ) -> Result<Self, DecodeError>;
}

/// Event data that cannot be serialised. What it contains is withheld: it could be PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event_type}: event data cannot be serialised")]
pub struct EncodeError {
    /// The frozen name of the event type, or of what else was to be stored.
    pub event_type: &'static str,
}

/// A stored event that this program cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No such event, or a shape from a later program.
    #[error("unknown event {name}, schema version {schema_version}")]
    Unknown {
        /// The wire name.
        name: String,
        /// The stored shape.
        schema_version: u32,
    },
    /// The bytes do not have the shape. What they say is withheld: it could be PHI.
    #[error("{name}: malformed payload (line {line}, column {column})")]
    Malformed {
        /// The wire name.
        name: &'static str,
        /// Line in the stored JSON.
        line: usize,
        /// Column in the stored JSON.
        column: usize,
    },
}

impl DecodeError {
    /// Keeps the place and drops the text of a JSON error.
    pub fn malformed(name: &'static str, error: &serde_json::Error) -> Self {
        Self::Malformed {
            name,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// One event's data: its open members by serde, its PHI members apart.
pub trait EventData: Serialize + DeserializeOwned {
    /// Returns the PHI members as one JSON object; `None` if there are none.
    ///
    /// # Errors
    ///
    /// The serialiser's error.
    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, serde_json::Error> {
        Ok(None)
    }

    /// Restores the PHI members from the JSON object that [`Self::phi`] returned.
    ///
    /// # Errors
    ///
    /// The deserialiser's error.
    fn set_phi(&mut self, _json: &[u8]) -> Result<(), serde_json::Error> {
        Ok(())
    }

    /// The patient under whose key the PHI is sealed.
    fn patient_id(&self) -> Option<PatientId> {
        None
    }
}

impl<F: EventData> EventData for Box<F> {
    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, serde_json::Error> {
        (**self).phi()
    }

    fn set_phi(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        (**self).set_phi(json)
    }

    fn patient_id(&self) -> Option<PatientId> {
        (**self).patient_id()
    }
}

/// Implements [`EventData`] for structs whose PHI members live in a field `phi: Option<...>` that serde skips, beside a
/// field `patient_id`.
#[macro_export]
macro_rules! event_data_with_phi {
    ($($data:ty),+ $(,)?) => {$(
        impl $crate::aggregate::EventData for $data {
            fn phi(&self) -> Result<Option<$crate::phi::Phi<Vec<u8>>>, serde_json::Error> {
                let json = self.phi.as_ref().map(serde_json::to_vec).transpose()?;
                Ok(json.map($crate::phi::Phi::new))
            }

            fn set_phi(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
                self.phi = Some(serde_json::from_slice(json)?);
                Ok(())
            }

            fn patient_id(&self) -> Option<$crate::ids::PatientId> {
                Some(self.patient_id)
            }
        }
    )+};
}

/// Implements [`EventData`] for structs without PHI.
#[macro_export]
macro_rules! event_data_without_phi {
    ($($data:ty),+ $(,)?) => {$(
        impl $crate::aggregate::EventData for $data {}
    )+};
}

/// Declares an aggregate's events once: variant, data, frozen wire name, schema version.
#[macro_export]
macro_rules! domain_events {
    ($(#[$doc:meta])* pub enum $event:ident { $($(#[$vdoc:meta])* $variant:ident($data:ty) = $name:literal v $version:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $event {
            $($(#[$vdoc])* $variant($data),)+
        }

        impl $crate::aggregate::DomainEvent for $event {
            const EVENT_TYPES: &'static [(&'static str, u32)] = &[$(($name, $version)),+];

            fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            fn schema_version(&self) -> u32 {
                match self { $(Self::$variant(_) => $version,)+ }
            }

            fn payload(&self) -> Result<String, $crate::aggregate::EncodeError> {
                let json = match self { $(Self::$variant(data) => serde_json::to_string(data),)+ };
                json.map_err(|_| $crate::aggregate::EncodeError { event_type: self.event_type() })
            }

            fn phi(&self) -> Result<Option<$crate::phi::Phi<Vec<u8>>>, $crate::aggregate::EncodeError> {
                let json = match self { $(Self::$variant(data) => $crate::aggregate::EventData::phi(data),)+ };
                json.map_err(|_| $crate::aggregate::EncodeError { event_type: self.event_type() })
            }

            fn patient_id(&self) -> Option<$crate::ids::PatientId> {
                match self { $(Self::$variant(data) => $crate::aggregate::EventData::patient_id(data),)+ }
            }

            fn decode(
                name: &str,
                schema_version: u32,
                payload: &[u8],
                phi: Option<&[u8]>,
            ) -> Result<Self, $crate::aggregate::DecodeError> {
                match (name, schema_version) {
                    // What a later version added to a shape is optional: the older ones are read as it.
                    $(($name, 1..=$version) => {
                        $crate::aggregate::decode_event_data::<$data>($name, payload, phi).map(Self::$variant)
                    })+
                    _ => Err($crate::aggregate::DecodeError::Unknown {
                        name: name.to_owned(),
                        schema_version,
                    }),
                }
            }
        }
    };
}

/// Decodes one event's data from its stored bytes.
///
/// # Errors
///
/// [`DecodeError::Malformed`] if payload or PHI do not have the schema.
pub fn decode_event_data<F: EventData>(
    name: &'static str,
    payload: &[u8],
    phi: Option<&[u8]>,
) -> Result<F, DecodeError> {
    let mut data: F =
        serde_json::from_slice(payload).map_err(|e| DecodeError::malformed(name, &e))?;
    if let Some(json) = phi {
        data.set_phi(json)
            .map_err(|e| DecodeError::malformed(name, &e))?;
    }
    Ok(data)
}

/// A resource: an aggregate's state with what its stream says of it. Serialises to the resource's open members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned<A> {
    /// The aggregate's id, which is its stream's.
    pub id: StreamId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its own members.
    #[serde(flatten)]
    pub state: A,
    /// Time of the first event.
    pub created_at: Timestamp,
    /// Time of the latest event.
    pub updated_at: Timestamp,
    /// How many events its stream has.
    pub version: u64,
    /// What the events of its stream have together, as far as it was folded from them; nothing in a row.
    #[serde(skip)]
    pub size: Size,
}

/// Where an event stands: what `evolve` does not need and the resource shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// The stream, which is the aggregate's id.
    pub stream_id: StreamId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The event's version in its stream, from 1.
    pub version: u64,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What it has in bytes.
    pub size: Size,
}

impl<A: Aggregate> Versioned<A> {
    /// Returns the resource after one more event.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEvent`] if the event cannot follow in this state.
    pub fn evolve(
        before: Option<Self>,
        event: A::Event,
        standing: EventHeader,
    ) -> Result<Self, UnexpectedEvent> {
        let EventHeader {
            stream_id,
            tenant_id,
            version,
            recorded_at,
            size,
        } = standing;
        let (state, created_at, size_before) = match before {
            Some(before) => (Some(before.state), before.created_at, before.size),
            None => (None, recorded_at, Size::default()),
        };
        let state = A::evolve(state, event)?;
        Ok(Self {
            id: stream_id,
            tenant_id,
            state,
            created_at,
            updated_at: recorded_at,
            version,
            size: size_before.with(size),
        })
    }
}
