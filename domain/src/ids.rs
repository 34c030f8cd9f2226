//! Typed ids: no bare UUID crosses a function boundary.
//!
//! New random ids are UUIDv7 (RFC 9562, section 5.7) and are minted outside this crate. Ids that must be unique by
//! meaning are UUIDv5 (section 5.5), derived from that meaning, so that uniqueness is a version check on one stream.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

use crate::codes::{ModalityCode, ProcedureCode};
use crate::dicom::AccessionNumber;

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id as a plain UUID, for storage and the wire.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )+};
}

typed_ids! {
    /// An organisation whose data is its own: every stream, row and key belongs to one.
    TenantId,
    /// One aggregate instance's stream of events. Every aggregate's id is one.
    StreamId,
    /// One event of the log.
    EventId,
    /// What one request set in motion, across commands, policies and NATS.
    CorrelationId,
    /// A patient (FHIR Patient), pseudonymous.
    PatientId,
    /// A visit (FHIR Encounter).
    EncounterId,
    /// An episode of care (FHIR EpisodeOfCare).
    EpisodeId,
    /// A clinician, radiologist or technologist (FHIR Practitioner).
    PractitionerId,
    /// The ordering department (FHIR Organization).
    DepartmentId,
    /// A booked time on a scanner (FHIR Slot).
    SlotId,
    /// An [imaging order](crate::order).
    OrderId,
    /// A [modality](crate::modality) of the catalog.
    ModalityId,
    /// A [procedure](crate::procedure) of the catalog.
    ProcedureId,
}

macro_rules! stream_ids {
    ($($name:ident),+ $(,)?) => {$(
        impl From<$name> for StreamId {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        }

        impl From<StreamId> for $name {
            fn from(id: StreamId) -> Self {
                Self(id.0)
            }
        }
    )+};
}

stream_ids!(OrderId, ModalityId, ProcedureId);

impl OrderId {
    /// v5(tenant, accession number): a study finds its order without a search.
    pub fn of(tenant: TenantId, accession: &AccessionNumber) -> Self {
        Self(Uuid::new_v5(&tenant.0, accession.as_str().as_bytes()))
    }
}

impl ModalityId {
    /// v5(tenant, kind, code).
    pub fn of(tenant: TenantId, code: &ModalityCode) -> Self {
        Self(catalog_id(tenant, "ImagingModality", code.as_str()))
    }
}

impl ProcedureId {
    /// v5(tenant, kind, code).
    pub fn of(tenant: TenantId, code: &ProcedureCode) -> Self {
        Self(catalog_id(tenant, "ImagingProcedure", code.as_str()))
    }
}

/// The kind's name is longer than any accession number, so that no code can collide with an order's id.
fn catalog_id(tenant: TenantId, kind: &str, code: &str) -> Uuid {
    Uuid::new_v5(&tenant.0, format!("{kind}:{code}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    #[test]
    fn ids_by_meaning_are_stable_forever() {
        let accession = AccessionNumber::parse("ACC123456").unwrap();
        assert_eq!(
            OrderId::of(TENANT, &accession).to_string(),
            "3b29486e-bd24-5a88-a040-e404577236da"
        );
        let code = ModalityCode::parse("ct").unwrap();
        assert_eq!(
            ModalityId::of(TENANT, &code),
            ModalityId::of(TENANT, &ModalityCode::parse("CT").unwrap())
        );
    }

    #[test]
    fn ids_by_meaning_differ_between_tenants_and_kinds() {
        let other = TenantId(Uuid::from_u128(2));
        let modality = ModalityCode::parse("CT").unwrap();
        let procedure = ProcedureCode::parse("CT").unwrap();
        assert_ne!(
            ModalityId::of(TENANT, &modality),
            ModalityId::of(other, &modality)
        );
        assert_ne!(
            ModalityId::of(TENANT, &modality).as_uuid(),
            ProcedureId::of(TENANT, &procedure).as_uuid()
        );
    }
}
