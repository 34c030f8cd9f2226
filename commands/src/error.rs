//! Why a command has no effect.

use roentgen_domain::phi::Phi;
use roentgen_domain::{
    ai_model, ai_task, caseload, modality, order, pacs_endpoint, procedure, reading_profile,
    report, report_template, study, study_access, worklist_item,
};
use roentgen_store::StoreError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The aggregate refuses.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// What the body refers to is not there.
    #[error("{} not found", .0.name())]
    ReferenceNotFound(Reference),
    /// What the body refers to may not be used.
    #[error("{} is inactive", .0.name())]
    ReferenceInactive(Reference),
    /// What the body refers to belongs to another study, or suits another.
    #[error("{} does not belong to the study", .0.name())]
    ReferenceMismatch(Reference),
    /// What the resource would say is not acceptable.
    #[error("validation failed")]
    Invalid(Vec<Violation>),
    /// What the body says of the resource gives it the id of something of another type.
    #[error("the id that follows from this belongs to a resource of another type already")]
    IdOfOtherType,
    /// `If-Match` names another version.
    #[error("current version is {actual}")]
    VersionMismatch {
        /// What it is.
        actual: u64,
    },
    /// The stream has as many changes or sealed bytes as it may have.
    #[error("the resource has too many changes to be changed further")]
    TooLarge,
    /// The idempotency key came with another body before.
    #[error("idempotency key was used with a different request")]
    IdempotencyKeyReused,
    /// Races or a queue outlived the deadline. Nothing was written.
    #[error("too many concurrent commands on this resource")]
    Contention,
    /// The store's own failure.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is not acceptable, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON pointer (RFC 6901) into the resource. The names in it may be a client's own.
    pub pointer: Phi<String>,
    /// What is wrong there, without what stands there.
    pub detail: String,
}

/// An aggregate's own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A modality's.
    #[error(transparent)]
    Modality(#[from] modality::Error),
    /// A procedure's.
    #[error(transparent)]
    Procedure(#[from] procedure::Error),
    /// An order's.
    #[error(transparent)]
    Order(#[from] order::Error),
    /// A PACS endpoint's.
    #[error(transparent)]
    PacsEndpoint(#[from] pacs_endpoint::Error),
    /// A study's.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// That of looking at a study.
    #[error(transparent)]
    StudyAccess(#[from] study_access::Error),
    /// A reading profile's.
    #[error(transparent)]
    ReadingProfile(#[from] reading_profile::Error),
    /// A worklist item's.
    #[error(transparent)]
    WorklistItem(#[from] worklist_item::Error),
    /// A caseload's.
    #[error(transparent)]
    Caseload(#[from] caseload::Error),
    /// A report's.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// An AI model's.
    #[error(transparent)]
    AiModel(#[from] ai_model::Error),
    /// An AI task's.
    #[error(transparent)]
    AiTask(#[from] ai_task::Error),
    /// A report template's.
    #[error(transparent)]
    ReportTemplate(#[from] report_template::Error),
}

/// A thing that a body refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// `modality_id`.
    Modality,
    /// `imaging_procedure_id`.
    Procedure,
    /// `imaging_study_id`.
    Study,
    /// `ai_model_id`.
    AiModel,
    /// `imaging_ai_task_id`.
    AiTask,
    /// `imaging_order_id`.
    Order,
    /// `pacs_endpoint_code`.
    PacsEndpoint,
    /// `imaging_series_id`.
    Series,
    /// `patient_id`.
    Patient,
    /// `template_id`.
    Template,
    /// An AI model's output, named in the path.
    AiOutput,
}

impl Reference {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modality => "modality",
            Self::Procedure => "procedure",
            Self::Study => "imaging study",
            Self::AiModel => "AI model",
            Self::AiTask => "AI task",
            Self::Order => "imaging order",
            Self::PacsEndpoint => "PACS endpoint",
            Self::Series => "series",
            Self::Patient => "patient",
            Self::Template => "report template",
            Self::AiOutput => "AI output",
        }
    }

    /// The member that refers to it, as a JSON pointer.
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::Modality => "/modality_id",
            Self::Procedure => "/imaging_procedure_id",
            Self::Study => "/imaging_study_id",
            Self::AiModel => "/ai_model_id",
            Self::AiTask => "/imaging_ai_task_id",
            Self::Order => "/imaging_order_id",
            Self::PacsEndpoint => "/pacs_endpoint_code",
            Self::Series => "/imaging_series_id",
            Self::Patient => "/patient_id",
            Self::Template => "/template_id",
            Self::AiOutput => "/output_id",
        }
    }
}
