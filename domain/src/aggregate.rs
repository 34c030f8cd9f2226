//! Traits and macros of aggregates: `decide`, `evolve`, and events with frozen wire names.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec_error::{DecodeError, EncodeError};
use crate::envelope::Actor;
use crate::growth::{Size, StreamBudget, VisiblePhi};
use crate::ids::{PatientId, StreamId, TenantId};
use crate::json::Members;
use crate::phi::Phi;
use crate::time::Timestamp;

/// Input of a decision in addition to the state.
#[derive(Debug, Clone)]
pub struct Context {
    /// Tenant that owns the data.
    pub tenant_id: TenantId,
    /// The actor who issued the command.
    pub actor: Actor,
    /// Server time when the command was received.
    pub now: Timestamp,
    /// A new UUIDv7, for an id that the command needs.
    pub fresh_id: Uuid,
}

/// A consistency boundary: one stream of events; commands are decided one at a time.
pub trait Aggregate: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// `stream.type` in the envelope. Frozen.
    const STREAM_TYPE: &'static str;

    /// Commands that the aggregate accepts.
    type Command: Send;
    /// Events of the aggregate.
    type Event: DomainEvent;
    /// Reasons why a command is rejected.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Decides a command: returns the resulting events, or none if the state already matches the command. `state` is
    /// `None` before the first event.
    ///
    /// # Errors
    ///
    /// The aggregate's error if its rules reject the command. Nothing is written.
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

    /// Returns the PHI members of the resource, if it has any that are open.
    fn phi(&self) -> Option<Phi<Members>>;

    /// Returns the patient whose key seals this stream's PHI.
    fn patient_id(&self) -> Option<PatientId>;

    /// Returns the budget that a command has in the stream; [`StreamBudget::Bounded`] for edits.
    fn room(_state: Option<&Self>, _command: &Self::Command) -> StreamBudget {
        StreamBudget::Bounded
    }

    /// Returns the memory used by the state beyond the text of the resource and its PHI, in bytes.
    fn unshown_bytes(&self) -> usize {
        0
    }

    /// Returns the memory used by the separately visible parts ([`VisiblePhi::alone`]), in bytes. [`Self::phi`]
    /// contains only the last of these parts.
    fn alone_bytes(&self) -> usize {
        0
    }

    /// Returns the sealed parts of the stream that are still visible in the resource.
    fn shown_parts(&self) -> VisiblePhi {
        VisiblePhi::default()
    }
}

/// An event at a position where its type cannot occur: the stream is corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unexpected event {event} in this state")]
pub struct UnexpectedEvent {
    /// The wire name.
    pub event: &'static str,
}

/// The closed set of events of one aggregate type. Implemented by
/// [`domain_events!`](crate::domain_events), and by [`catalog::Event`](crate::catalog::Event) for all catalog entries.
pub trait DomainEvent: Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// All wire names, each with its current schema version.
    const EVENT_TYPES: &'static [(&'static str, u32)];

    /// Returns the wire name. Frozen.
    fn event_type(&self) -> &'static str;

    /// Returns the schema version of the payload.
    fn schema_version(&self) -> u32;

    /// Returns the payload as JSON, without PHI.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the event data cannot be serialised: an event is written completely or not at all.
    fn payload(&self) -> Result<String, EncodeError>;

    /// Returns the PHI members as one JSON object, ready for sealing; `None` if the event has none.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the members cannot be serialised.
    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, EncodeError>;

    /// Returns the patient whose key seals the PHI.
    fn patient_id(&self) -> Option<PatientId>;

    /// Decodes an event from its stored bytes. `phi` is `None` if the event has no PHI, or if the PHI cannot or need
    /// not be opened.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unknown`] for an event type or schema version that this release does not know,
    /// [`DecodeError::Malformed`] for bytes that do not match the schema.
    fn decode(
        name: &str,
        schema_version: u32,
        payload: &[u8],
        phi: Option<&[u8]>,
    ) -> Result<Self, DecodeError>;
}

/// Data of one event: the open members are serialised by serde, the PHI members separately.
pub trait EventData: Serialize + DeserializeOwned {
    /// Returns the PHI members as one JSON object; `None` if there are none.
    ///
    /// # Errors
    ///
    /// The error of the serialiser.
    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, serde_json::Error> {
        Ok(None)
    }

    /// Restores the PHI members from the JSON object that [`Self::phi`] returned.
    ///
    /// # Errors
    ///
    /// The error of the deserialiser.
    fn set_phi(&mut self, _json: &[u8]) -> Result<(), serde_json::Error> {
        Ok(())
    }

    /// Returns the patient whose key seals the PHI.
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

/// Implements [`EventData`] for structs that have a field `patient_id` and hold their PHI members in a field `phi:
/// Option<...>`, which serde skips.
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

/// Declares the events of an aggregate: variant, data, frozen wire name, schema version.
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

            fn payload(&self) -> Result<String, $crate::codec_error::EncodeError> {
                let json = match self { $(Self::$variant(data) => serde_json::to_string(data),)+ };
                json.map_err(|_| $crate::codec_error::EncodeError { event_type: self.event_type() })
            }

            fn phi(&self) -> Result<Option<$crate::phi::Phi<Vec<u8>>>, $crate::codec_error::EncodeError> {
                let json = match self { $(Self::$variant(data) => $crate::aggregate::EventData::phi(data),)+ };
                json.map_err(|_| $crate::codec_error::EncodeError { event_type: self.event_type() })
            }

            fn patient_id(&self) -> Option<$crate::ids::PatientId> {
                match self { $(Self::$variant(data) => $crate::aggregate::EventData::patient_id(data),)+ }
            }

            fn decode(
                name: &str,
                schema_version: u32,
                payload: &[u8],
                phi: Option<&[u8]>,
            ) -> Result<Self, $crate::codec_error::DecodeError> {
                match (name, schema_version) {
                    // Members added by a later schema version are optional: older versions decode with the current
                    // schema.
                    $(($name, 1..=$version) => {
                        $crate::aggregate::decode_event_data::<$data>($name, payload, phi).map(Self::$variant)
                    })+
                    _ => Err($crate::codec_error::DecodeError::Unknown {
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
/// [`DecodeError::Malformed`] if payload or PHI do not match the schema.
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

/// A resource: the state of an aggregate with its stream metadata. Serialises to the open members of the resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned<A> {
    /// Id of the aggregate and of its stream.
    pub id: StreamId,
    /// The owning tenant.
    pub tenant_id: TenantId,
    /// State of the aggregate.
    #[serde(flatten)]
    pub state: A,
    /// Time of the first event.
    pub created_at: Timestamp,
    /// Time of the latest event.
    pub updated_at: Timestamp,
    /// Number of events in the stream.
    pub version: u64,
    /// Total size of the folded events, in bytes; zero if the state was read from a row.
    #[serde(skip)]
    pub size: Size,
}

/// Event metadata that the resource shows and [`Aggregate::evolve`] does not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Stream id, which is also the id of the aggregate.
    pub stream_id: StreamId,
    /// The owning tenant.
    pub tenant_id: TenantId,
    /// Version of the event in its stream, from 1.
    pub version: u64,
    /// Time at which the event was recorded.
    pub recorded_at: Timestamp,
    /// Size of the event in bytes.
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
