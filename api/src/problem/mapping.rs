//! Mapping of errors to problems, with one exhaustive function per error type.

mod ai;
mod reports;

use roentgen_commands::{CommandError, DomainError, Reference};
use roentgen_domain::reading_profile::Restriction;
use roentgen_domain::{caseload, order, study, study_access, worklist_item};
use roentgen_store::StoreError;
use roentgen_store::error::{EngineError, KeyError, Unavailable, error_chain};

use super::{FieldError, Problem, ProblemCode};

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Domain(refusal) => domain_error(refusal),
            CommandError::ReferenceNotFound(reference) => {
                Self::new(ProblemCode::ReferenceNotFound, error.to_string())
                    .with_error(reference.pointer(), "does not exist")
            }
            CommandError::Invalid(violations) => Self::unacceptable(
                violations
                    .into_iter()
                    .map(|violation| FieldError {
                        pointer: violation.pointer.into_inner(),
                        detail: violation.detail,
                    })
                    .collect(),
            ),
            CommandError::ReferenceInactive(reference) => {
                Self::new(ProblemCode::Inactive, error.to_string())
                    .with_error(reference.pointer(), "is not active")
            }
            CommandError::ReferenceMismatch(reference) => {
                Self::new(ProblemCode::Unacceptable, error.to_string())
                    .with_error(reference.pointer(), "does not belong to the study")
            }
            CommandError::IdOfOtherType => Self::new(ProblemCode::AlreadyExists, error.to_string()),
            CommandError::VersionMismatch { actual } => Self::new(
                ProblemCode::VersionMismatch,
                format!("current version is {actual}"),
            ),
            CommandError::TooLarge => Self::new(
                ProblemCode::TooLarge,
                "the resource has 10,000 changes, 16 MiB in all of them, or shows 2 MiB, and takes no more; nothing \
                 was written",
            ),
            CommandError::IdempotencyKeyReused => {
                Self::new(ProblemCode::IdempotencyKeyReused, error.to_string())
            }
            CommandError::Contention => Self::new(ProblemCode::Contention, error.to_string()),
            CommandError::Store(error) => error.into(),
        }
    }
}

fn domain_error(refusal: DomainError) -> Problem {
    let said = refusal.to_string();
    match refusal {
        DomainError::EntryExists(_) | DomainError::Order(order::Error::AlreadyExists) => {
            Problem::new(ProblemCode::AlreadyExists, said)
        }
        DomainError::EntryNotFound(_) | DomainError::Order(order::Error::NotFound) => {
            Problem::not_found()
        }
        DomainError::Study(error) => study(error),
        DomainError::StudyAccess(study_access::Error::UnknownToken) => {
            Problem::new(ProblemCode::Unauthenticated, said)
        }
        DomainError::Order(order::Error::Final { .. } | order::Error::InvalidTransition { .. }) => {
            Problem::new(ProblemCode::TransitionRefused, said)
        }
        DomainError::Order(
            order::Error::StartAfterEnd
            | order::Error::StartWithoutProgress
            | order::Error::StartTakenAway,
        ) => Problem::new(ProblemCode::Unacceptable, said.clone())
            .with_error("/performed_start_at", said),
        DomainError::Order(order::Error::EndWithoutCompletion | order::Error::EndTakenAway) => {
            Problem::new(ProblemCode::Unacceptable, said.clone())
                .with_error("/performed_end_at", said)
        }
        DomainError::Order(order::Error::ReasonWithoutCancellation) => {
            Problem::new(ProblemCode::Unacceptable, said.clone())
                .with_error("/cancellation_reason", said)
        }
        DomainError::Order(order::Error::Metadata(why)) => {
            Problem::new(ProblemCode::Unacceptable, said).with_error("/metadata", why)
        }
        DomainError::AiModel(error) => ai::model(error),
        DomainError::AiTask(error) => ai::task(error),
        DomainError::ReportTemplate(error) => reports::template(error),
        DomainError::Report(error) => reports::report(error),
        DomainError::Restriction(
            Restriction::NotActive
            | Restriction::ModalityNotAllowed
            | Restriction::BodyPartNotAllowed,
        ) => Problem::new(ProblemCode::NotPrivileged, said),
        DomainError::WorklistItem(error) => worklist_item(error),
        DomainError::Caseload(caseload::Error::LimitReached { .. }) => {
            Problem::new(ProblemCode::CaseLimitReached, said)
        }
    }
}

fn worklist_item(error: worklist_item::Error) -> Problem {
    use worklist_item::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists { .. } => Problem::new(ProblemCode::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::HeldByOther => Problem::new(ProblemCode::HeldByOther, said),
        Error::TooManyModels => Problem::new(ProblemCode::TooLarge, said),
        Error::NotPending { .. } | Error::NotHeld | Error::Closed { .. } => {
            Problem::new(ProblemCode::TransitionRefused, said)
        }
    }
}

fn study(error: study::Error) -> Problem {
    use study::Error;
    let said = error.to_string();
    match error {
        Error::NotFound => Problem::not_found(),
        Error::OtherPatient => Problem::new(ProblemCode::OtherPatient, said),
        Error::Archived => Problem::new(ProblemCode::TransitionRefused, said),
        Error::SeriesExists | Error::InstanceExists => {
            Problem::new(ProblemCode::AlreadyExists, said)
        }
        Error::NoSuchSeries => CommandError::ReferenceNotFound(Reference::Series).into(),
        Error::OrderOfOtherPatient => Problem::new(ProblemCode::Unacceptable, said.clone())
            .with_error("/imaging_order_id", said),
        Error::StartAfterEnd => {
            Problem::new(ProblemCode::Unacceptable, said.clone()).with_error("/started_at", said)
        }
    }
}

/// Creates the problem for a missing patient key, which is logged at its lookup.
fn keys_missing() -> Problem {
    Problem::new(
        ProblemCode::KeysMissing,
        "a patient's key is missing; nothing was written",
    )
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_missing_key() {
            return keys_missing();
        }
        match error {
            StoreError::Conflict { .. }
            | StoreError::KeyTaken(_)
            | StoreError::PatientKeyExists => Self::new(
                ProblemCode::Contention,
                "too many concurrent commands on this resource; nothing was written",
            ),
            StoreError::Unavailable(why) => unavailable(why),
            StoreError::OutcomeUnknown => Self::new(
                ProblemCode::OutcomeUnknown,
                "retry with the same Idempotency-Key to learn the outcome",
            ),
            StoreError::EventTooLarge { .. } => Self::new(
                ProblemCode::Unacceptable,
                "the change exceeds the event size limit of 256 KiB",
            ),
            StoreError::Engine(error) => engine(&error),
            StoreError::Keys(KeyError::Engine(error)) => engine(&error),
            StoreError::Keys(KeyError::Closing) => unavailable(Unavailable::Closing),
            StoreError::Unreadable { .. }
            | StoreError::Unwritable(_)
            | StoreError::Keys(
                KeyError::Mismatch(_)
                | KeyError::MalformedMasterKey
                | KeyError::MasterKeyWeak
                | KeyError::Missing
                | KeyError::CorruptPatientKey
                | KeyError::CorruptSecret,
            ) => Self::internal(&error),
        }
    }
}

fn unavailable(why: Unavailable) -> Problem {
    let detail = match why {
        Unavailable::QueueFull => "command queue is full; nothing was written",
        Unavailable::Deadline => "command timed out in the queue; nothing was written",
        Unavailable::Closing => "server is shutting down; nothing was written",
        Unavailable::Database => "database unavailable; nothing was written",
        Unavailable::Crowded => {
            "the tenant's other requests take its share of the database; try again later"
        }
    };
    Problem::new(ProblemCode::Unavailable, detail)
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        engine(&error)
    }
}

fn engine(error: &EngineError) -> Problem {
    match error {
        EngineError::ConnectionLost(_) | EngineError::Unavailable(_) => {
            tracing::warn!(
                event = "db.unavailable",
                error = error_chain(error),
                "database unavailable",
            );
            Problem::new(ProblemCode::Unavailable, "database unavailable")
        }
        EngineError::Archived { .. } => Problem::new(ProblemCode::Archived, error.to_string()),
        EngineError::Rejected(_) | EngineError::Corrupt(_) => Problem::internal(error),
        EngineError::KeyMissing => keys_missing(),
        EngineError::ReadModelNotReady(_) => {
            Problem::new(ProblemCode::ProjectionLagging, error.to_string())
        }
    }
}
