//! Events of catalog entries, and their stored form: the id under the resource's own name, then the members.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::CatalogEntry;
use crate::aggregate::{DomainEvent, EventData, decode_event_data};
use crate::codec_error::{DecodeError, EncodeError};
use crate::ids::PatientId;
use crate::phi::Phi;

/// Events of a catalog entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<E: CatalogEntry> {
    /// The entry was added to the catalog.
    Created(Box<Created<E>>),
    /// Members of the entry changed.
    Updated(Box<Updated<E>>),
}

/// The entry was added to the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Created<E: CatalogEntry> {
    /// Id of the entry.
    pub id: E::Id,
    /// The complete entry.
    pub entry: E,
}

/// Members of the entry changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated<E: CatalogEntry> {
    /// Id of the entry.
    pub id: E::Id,
    /// Changed members.
    pub changes: E::Changes,
}

impl<E: CatalogEntry> DomainEvent for Event<E> {
    const EVENT_TYPES: &'static [(&'static str, u32)] = &[E::NAMES.created, E::NAMES.updated];

    fn event_type(&self) -> &'static str {
        self.name_and_version().0
    }

    fn schema_version(&self) -> u32 {
        self.name_and_version().1
    }

    fn payload(&self) -> Result<String, EncodeError> {
        let json = match self {
            Self::Created(created) => serde_json::to_string(created),
            Self::Updated(updated) => serde_json::to_string(updated),
        };
        json.map_err(|_| EncodeError {
            event_type: self.event_type(),
        })
    }

    fn phi(&self) -> Result<Option<Phi<Vec<u8>>>, EncodeError> {
        Ok(None)
    }

    fn patient_id(&self) -> Option<PatientId> {
        None
    }

    fn decode(
        name: &str,
        schema_version: u32,
        payload: &[u8],
        phi: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let (created, newest) = E::NAMES.created;
        if name == created && (1..=newest).contains(&schema_version) {
            return decode_event_data(created, payload, phi).map(Self::Created);
        }
        let (updated, newest) = E::NAMES.updated;
        if name == updated && (1..=newest).contains(&schema_version) {
            return decode_event_data(updated, payload, phi).map(Self::Updated);
        }
        Err(DecodeError::Unknown {
            name: name.to_owned(),
            schema_version,
        })
    }
}

impl<E: CatalogEntry> Event<E> {
    const fn name_and_version(&self) -> (&'static str, u32) {
        match self {
            Self::Created(_) => E::NAMES.created,
            Self::Updated(_) => E::NAMES.updated,
        }
    }
}

impl<E: CatalogEntry> EventData for Created<E> {}
impl<E: CatalogEntry> EventData for Updated<E> {}

impl<E: CatalogEntry> Serialize for Created<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recorded = E::Recorded::from(self.entry.clone());
        serialize_members::<E, _, _>(self.id, &recorded, serializer)
    }
}

impl<E: CatalogEntry> Serialize for Updated<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_members::<E, _, _>(self.id, &self.changes, serializer)
    }
}

impl<'de, E: CatalogEntry> Deserialize<'de> for Created<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, recorded) = deserialize_members::<E, E::Recorded, _>(deserializer)?;
        let entry = recorded.into();
        Ok(Self { id, entry })
    }
}

impl<'de, E: CatalogEntry> Deserialize<'de> for Updated<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, changes) = deserialize_members::<E, _, _>(deserializer)?;
        Ok(Self { id, changes })
    }
}

fn serialize_members<E: CatalogEntry, M: Serialize, S: Serializer>(
    id: E::Id,
    members: &M,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Payload<'a, I: Serialize, M> {
        #[serde(flatten)]
        id: BTreeMap<&'static str, I>,
        #[serde(flatten)]
        members: &'a M,
    }
    let id = BTreeMap::from([(E::NAMES.id, id)]);
    Payload { id, members }.serialize(serializer)
}

fn deserialize_members<'de, E: CatalogEntry, M: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(E::Id, M), D::Error> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "M: DeserializeOwned"))]
    struct Payload<M> {
        #[serde(flatten)]
        members: M,
        #[serde(flatten)]
        others: Map<String, Value>,
    }
    let payload = Payload::deserialize(deserializer)?;
    let id = payload.others.get(E::NAMES.id);
    let id = id.ok_or_else(|| D::Error::missing_field(E::NAMES.id))?;
    let id = E::Id::deserialize(id).map_err(D::Error::custom)?;
    Ok((id, payload.members))
}
