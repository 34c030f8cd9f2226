//! Typed ids: no bare UUID crosses a function boundary.
//!
//! New random ids are UUIDv7 (RFC 9562, section 5.7) and are created outside this crate. Ids that must be unique for a
//! natural key are UUIDv5 (section 5.5), derived from that key, so uniqueness is a version check on one stream.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

use crate::codes::{AiModelCode, ModalityCode, PacsEndpointCode, ProcedureCode, TemplateCode};
use crate::dicom::{AccessionNumber, Uid};
use crate::id_kind::IdKind;

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Returns the id as a plain UUID, for storage and the wire.
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
    /// An organisation with isolated data: every stream, row and key belongs to one tenant.
    TenantId,
    /// The event stream of one aggregate; every aggregate id is a stream id.
    StreamId,
    /// One event of the log.
    EventId,
    /// One request and everything it caused, across commands, policies and NATS.
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
    /// A booked time slot on a scanner (FHIR Slot).
    SlotId,
    /// An [imaging order](crate::order).
    OrderId,
    /// A [modality](crate::modality) of the catalog.
    ModalityId,
    /// A [procedure](crate::procedure) of the catalog.
    ProcedureId,
    /// A PACS endpoint of the catalog.
    PacsEndpointId,
    /// A secret of the catalog (a password, a token), which is stored sealed outside the log.
    SecretId,
    /// An imaging study (FHIR ImagingStudy).
    StudyId,
    /// A series of a study.
    SeriesId,
    /// An instance of a series.
    InstanceId,
    /// The stream of accesses to a study's images.
    StudyAccessId,
    /// A viewer token: one launch of the viewer.
    ViewerTokenId,
    /// A reading profile of the catalog.
    ReadingProfileId,
    /// A study's entry on the radiologists' worklist.
    WorklistItemId,
    /// The cases assigned to a radiologist.
    CaseloadId,
    /// A report template of the catalog.
    TemplateId,
    /// A radiology report (FHIR DiagnosticReport).
    ReportId,
    /// An addendum to a report.
    AddendumId,
    /// A communicated critical result (FHIR Communication).
    CommunicationId,
    /// An AI model of the catalog.
    AiModelId,
    /// One run of an AI model on a study (FHIR Task).
    AiTaskId,
    /// A result of an AI task.
    AiOutputId,
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

stream_ids!(
    OrderId,
    ModalityId,
    ProcedureId,
    PacsEndpointId,
    StudyId,
    StudyAccessId,
    ReadingProfileId,
    WorklistItemId,
    CaseloadId,
    TemplateId,
    ReportId,
    AiModelId,
    AiTaskId,
);

impl OrderId {
    /// Derives v5(tenant, accession number): a study finds its order without a search. The kind is not part of the id,
    /// so no accession number may start with a kind name and a colon ([`IdKind::begins`]).
    pub fn derive(tenant: TenantId, accession: &AccessionNumber) -> Self {
        Self(Uuid::new_v5(&tenant.0, accession.as_str().as_bytes()))
    }
}

impl ModalityId {
    /// Derives v5(tenant, kind, code).
    pub fn derive(tenant: TenantId, code: &ModalityCode) -> Self {
        Self(id_of_kind(tenant, IdKind::Modality, code.as_str()))
    }
}

impl ProcedureId {
    /// Derives v5(tenant, kind, code).
    pub fn derive(tenant: TenantId, code: &ProcedureCode) -> Self {
        Self(id_of_kind(tenant, IdKind::Procedure, code.as_str()))
    }
}

impl PacsEndpointId {
    /// Derives v5(tenant, kind, code).
    pub fn derive(tenant: TenantId, code: &PacsEndpointCode) -> Self {
        Self(id_of_kind(tenant, IdKind::PacsEndpoint, code.as_str()))
    }
}

impl TemplateId {
    /// Derives v5(tenant, kind, code).
    pub fn derive(tenant: TenantId, code: &TemplateCode) -> Self {
        Self(id_of_kind(tenant, IdKind::Template, code.as_str()))
    }
}

impl AiModelId {
    /// Derives v5(tenant, kind, code).
    pub fn derive(tenant: TenantId, code: &AiModelCode) -> Self {
        Self(id_of_kind(tenant, IdKind::AiModel, code.as_str()))
    }
}

impl ReadingProfileId {
    /// Derives v5(tenant, kind, practitioner): one profile per radiologist.
    pub fn derive(tenant: TenantId, practitioner: PractitionerId) -> Self {
        let practitioner = practitioner.to_string();
        Self(id_of_kind(tenant, IdKind::ReadingProfile, &practitioner))
    }
}

impl CaseloadId {
    /// Derives v5(tenant, kind, practitioner): one caseload per radiologist.
    pub fn derive(tenant: TenantId, practitioner: PractitionerId) -> Self {
        let practitioner = practitioner.to_string();
        Self(id_of_kind(tenant, IdKind::Caseload, &practitioner))
    }
}

impl StudyId {
    /// Derives v5(tenant, kind, Study Instance UID).
    pub fn derive(tenant: TenantId, uid: &Uid) -> Self {
        Self(id_of_kind(tenant, IdKind::Study, uid.as_str()))
    }
}

impl SeriesId {
    /// Derives v5(study, Series Instance UID).
    pub fn derive(study: StudyId, uid: &Uid) -> Self {
        Self(Uuid::new_v5(&study.0, uid.as_str().as_bytes()))
    }
}

impl InstanceId {
    /// Derives v5(series, SOP Instance UID).
    pub fn derive(series: SeriesId, uid: &Uid) -> Self {
        Self(Uuid::new_v5(&series.0, uid.as_str().as_bytes()))
    }
}

impl StudyAccessId {
    /// Derives v5(study, "access"): an access does not change the study.
    pub fn derive(study: StudyId) -> Self {
        Self(Uuid::new_v5(&study.0, b"access"))
    }
}

impl WorklistItemId {
    /// Derives v5(study, "worklist"): one item per study.
    pub fn derive(study: StudyId) -> Self {
        Self(Uuid::new_v5(&study.0, b"worklist"))
    }
}

impl ReportId {
    /// Derives v5(study, "report"): one report per study.
    pub fn derive(study: StudyId) -> Self {
        Self(Uuid::new_v5(&study.0, b"report"))
    }
}

impl AiTaskId {
    /// Derives v5(study, model, task type, attempt); attempts are counted from 1.
    pub fn derive(study: StudyId, model: AiModelId, task_type: &str, attempt: u32) -> Self {
        let meaning = format!("{model}:{task_type}:{attempt}");
        Self(Uuid::new_v5(&study.0, meaning.as_bytes()))
    }
}

fn id_of_kind(tenant: TenantId, kind: IdKind, code: &str) -> Uuid {
    Uuid::new_v5(&tenant.0, format!("{kind}:{code}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    /// Ids of a study, a series with the same UID, its worklist item, report and accesses, and its first triage task.
    const GOLDEN: [&str; 6] = [
        "b54591c0-82d0-5735-ade4-8bb6d7525c75",
        "1fcf4731-ce92-54df-a377-3a35263a75d1",
        "1e109b11-5b0e-5e87-ad16-c8a8edfe538d",
        "972f59cd-4221-5c8b-adca-e14322a67bf7",
        "0ef9aa8a-bf80-5685-b5f6-84fcefa34fab",
        "b995028b-8c55-52d8-a95d-6d871ae265e2",
    ];

    #[test]
    fn ids_by_meaning_are_stable_forever() {
        let accession = AccessionNumber::parse("ACC123456").unwrap();
        assert_eq!(
            OrderId::derive(TENANT, &accession).to_string(),
            "3b29486e-bd24-5a88-a040-e404577236da"
        );
        let code = ModalityCode::parse("ct").unwrap();
        assert_eq!(
            ModalityId::derive(TENANT, &code),
            ModalityId::derive(TENANT, &ModalityCode::parse("CT").unwrap())
        );
    }

    #[test]
    fn a_studys_own_ids_are_stable_and_apart() {
        let uid = Uid::parse("1.2.840.113619.2.55.3").unwrap();
        let study = StudyId::derive(TENANT, &uid);
        let accession = AccessionNumber::parse("1.2.3").unwrap();
        let short = Uid::parse("1.2.3").unwrap();
        assert_ne!(
            StudyId::derive(TENANT, &short).as_uuid(),
            OrderId::derive(TENANT, &accession).as_uuid()
        );
        let ids = [
            study.as_uuid(),
            SeriesId::derive(study, &uid).as_uuid(),
            WorklistItemId::derive(study).as_uuid(),
            ReportId::derive(study).as_uuid(),
            StudyAccessId::derive(study).as_uuid(),
            AiTaskId::derive(study, AiModelId(Uuid::nil()), "triage", 1).as_uuid(),
        ];
        assert_eq!(
            ids.map(|id| id.to_string()),
            GOLDEN.map(str::to_owned),
            "an id derived from its meaning never changes"
        );
    }

    #[test]
    fn ids_by_meaning_differ_between_tenants_and_kinds() {
        let other = TenantId(Uuid::from_u128(2));
        let modality = ModalityCode::parse("CT").unwrap();
        let procedure = ProcedureCode::parse("CT").unwrap();
        assert_ne!(
            ModalityId::derive(TENANT, &modality),
            ModalityId::derive(other, &modality)
        );
        assert_ne!(
            ModalityId::derive(TENANT, &modality).as_uuid(),
            ProcedureId::derive(TENANT, &procedure).as_uuid()
        );
    }

    /// The names of three kinds, followed by a code, are short enough for an accession number.
    #[test]
    fn no_accession_number_is_the_name_of_another_id() {
        let mut short_enough = 0;
        for kind in IdKind::ALL {
            for code in ["A", "CT", "1", "1.2"] {
                let name = format!("{kind}:{code}");
                assert!(AccessionNumber::parse(&name).is_err(), "{name}");
                short_enough += usize::from(name.len() <= 16);
            }
            assert!(AccessionNumber::parse(&format!("{kind}:")).is_err());
        }
        assert_eq!(
            short_enough, 10,
            "PACSEndpoint, ImagingStudy and ImagingAIModel"
        );
        for other in ["PACSEndpoint", "pacsendpoint:CT1", "ACC:1", ":1"] {
            assert!(AccessionNumber::parse(other).is_ok(), "{other}");
        }
    }
}
