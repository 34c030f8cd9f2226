//! Errors of commands.

use std::convert::Infallible;

use roentgen_domain::phi::Phi;
use roentgen_domain::{
    ai_model, ai_task, caseload, catalog, order, reading_profile, report, report_template, study,
    study_access, worklist_item,
};
use roentgen_store::StoreError;

/// Reason why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An aggregate rejects the command.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A resource that the body refers to does not exist.
    #[error("{} not found", .0.name())]
    ReferenceNotFound(Reference),
    /// A resource that the body refers to is inactive.
    #[error("{} is inactive", .0.name())]
    ReferenceInactive(Reference),
    /// A resource that the body refers to does not belong to the study, or does not apply to it.
    #[error("{} does not belong to the study", .0.name())]
    ReferenceMismatch(Reference),
    /// The resource would violate a rule or a schema.
    #[error("validation failed")]
    Invalid(Vec<Violation>),
    /// The id derived from the body belongs to a stream of another type.
    #[error("the id that follows from this belongs to a resource of another type already")]
    IdOfOtherType,
    /// `If-Match` names another version than the current one.
    #[error("current version is {actual}")]
    VersionMismatch {
        /// Current version of the resource.
        actual: u64,
    },
    /// The stream has reached the limit of its events or of its sealed bytes.
    #[error("the resource has too many changes to be changed further")]
    TooLarge,
    /// The idempotency key was used with a different body.
    #[error("idempotency key was used with a different request")]
    IdempotencyKeyReused,
    /// Version conflicts or queueing exceeded the deadline. Nothing was written.
    #[error("too many concurrent commands on this resource")]
    Contention,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Violation of a rule or schema, with its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the resource. The names in the pointer may be chosen by the client.
    pub pointer: Phi<String>,
    /// Description of the violation, without the value at the pointer.
    pub detail: String,
}

/// Domain error of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// The key of a catalog entry is taken.
    #[error("{0}")]
    EntryExists(&'static str),
    /// A catalog entry does not exist.
    #[error("{0}")]
    EntryNotFound(&'static str),
    /// An AI model would be invalid.
    #[error(transparent)]
    AiModel(#[from] ai_model::Invalid),
    /// A report template would be invalid.
    #[error(transparent)]
    ReportTemplate(#[from] report_template::Invalid),
    /// A reading profile does not allow a claim.
    #[error(transparent)]
    Restriction(#[from] reading_profile::Restriction),
    /// Domain error of an order.
    #[error(transparent)]
    Order(#[from] order::Error),
    /// Domain error of a study.
    #[error(transparent)]
    Study(#[from] study::Error),
    /// Domain error of an access to a study's images.
    #[error(transparent)]
    StudyAccess(#[from] study_access::Error),
    /// Domain error of a worklist item.
    #[error(transparent)]
    WorklistItem(#[from] worklist_item::Error),
    /// Domain error of a caseload.
    #[error(transparent)]
    Caseload(#[from] caseload::Error),
    /// Domain error of a report.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// Domain error of an AI task.
    #[error(transparent)]
    AiTask(#[from] ai_task::Error),
}

impl<I> From<catalog::Error<I>> for DomainError
where
    Self: From<I>,
{
    fn from(error: catalog::Error<I>) -> Self {
        match error {
            catalog::Error::AlreadyExists(text) => Self::EntryExists(text),
            catalog::Error::NotFound(text) => Self::EntryNotFound(text),
            catalog::Error::Invalid(invalid) => invalid.into(),
        }
    }
}

impl From<Infallible> for DomainError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Resource that a body or path refers to.
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
    /// Output of an AI model; its id is part of the path.
    AiOutput,
}

impl Reference {
    /// Returns the name of the resource in error messages.
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

    /// Returns the JSON Pointer to the member that holds the reference.
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
