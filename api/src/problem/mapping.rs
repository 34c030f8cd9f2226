//! One exhaustive function a family of errors.

mod ai;
mod reports;

use roentgen_commands::{CommandError, Reference, Refusal};
use roentgen_domain::{
    caseload, modality, order, pacs_endpoint, procedure, reading_profile, study, study_access,
    worklist_item,
};
use roentgen_store::StoreError;
use roentgen_store::error::{EngineError, Unavailable, causes};
use roentgen_store::keys::KeyError;

use super::{Code, FieldError, Problem};

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refused(refusal),
            CommandError::NoSuch(reference) => {
                Self::new(Code::ReferenceNotFound, error.to_string())
                    .at(reference.pointer(), "is not there")
            }
            CommandError::Unacceptable(violations) => Self::unacceptable(
                violations
                    .into_iter()
                    .map(|it| FieldError {
                        pointer: it.pointer.into_exposed(),
                        detail: it.detail,
                    })
                    .collect(),
            ),
            CommandError::Inactive(reference) => Self::new(Code::Inactive, error.to_string())
                .at(reference.pointer(), "is not active"),
            CommandError::NotTheStudys(reference) => {
                Self::new(Code::Unacceptable, error.to_string())
                    .at(reference.pointer(), "is not the study's")
            }
            CommandError::IdOfOtherType => Self::new(Code::AlreadyExists, error.to_string()),
            CommandError::VersionMismatch { actual } => Self::new(
                Code::VersionMismatch,
                format!("the resource is at version {actual}"),
            ),
            CommandError::TooLarge => Self::new(
                Code::TooLarge,
                "the resource has 10,000 changes, 16 MiB in all of them, or shows 2 MiB, and takes no more; nothing was written",
            ),
            CommandError::KeyReused => Self::new(Code::IdempotencyKeyReused, error.to_string()),
            CommandError::Contention => Self::new(Code::Contention, error.to_string()),
            CommandError::Store(error) => error.into(),
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    let said = refusal.to_string();
    match refusal {
        Refusal::Modality(modality::Error::AlreadyExists)
        | Refusal::Procedure(procedure::Error::AlreadyExists)
        | Refusal::Order(order::Error::AlreadyExists) => Problem::new(Code::AlreadyExists, said),
        Refusal::Modality(modality::Error::NotFound)
        | Refusal::Procedure(procedure::Error::NotFound)
        | Refusal::Order(order::Error::NotFound) => Problem::not_found(),
        Refusal::PacsEndpoint(pacs_endpoint::Error::AlreadyExists) => {
            Problem::new(Code::AlreadyExists, said)
        }
        Refusal::PacsEndpoint(pacs_endpoint::Error::NotFound) => Problem::not_found(),
        Refusal::Study(error) => study(error),
        Refusal::StudyAccess(study_access::Error::UnknownToken) => {
            Problem::new(Code::Unauthenticated, said)
        }
        Refusal::Order(order::Error::Final { .. } | order::Error::Backwards { .. }) => {
            Problem::new(Code::TransitionRefused, said)
        }
        Refusal::Order(
            order::Error::StartAfterEnd
            | order::Error::StartWithoutProgress
            | order::Error::StartTakenAway,
        ) => Problem::new(Code::Unacceptable, said.clone()).at("/performed_start_at", said),
        Refusal::Order(order::Error::EndWithoutCompletion | order::Error::EndTakenAway) => {
            Problem::new(Code::Unacceptable, said.clone()).at("/performed_end_at", said)
        }
        Refusal::Order(order::Error::ReasonWithoutCancellation) => {
            Problem::new(Code::Unacceptable, said.clone()).at("/cancellation_reason", said)
        }
        Refusal::Order(order::Error::Metadata(why)) => {
            Problem::new(Code::Unacceptable, said).at("/metadata", why)
        }
        Refusal::AiModel(error) => ai::model(error),
        Refusal::AiTask(error) => ai::task(error),
        Refusal::ReportTemplate(error) => reports::template(error),
        Refusal::Report(error) => reports::report(error),
        Refusal::ReadingProfile(error) => reading_profile(error),
        Refusal::WorklistItem(error) => worklist_item(error),
        Refusal::Caseload(caseload::Error::LimitReached { .. }) => {
            Problem::new(Code::CaseLimitReached, said)
        }
    }
}

fn reading_profile(error: reading_profile::Error) -> Problem {
    use reading_profile::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(Code::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::NotActive | Error::ModalityNotAllowed | Error::BodyPartNotAllowed => {
            Problem::new(Code::NotPrivileged, said)
        }
    }
}

fn worklist_item(error: worklist_item::Error) -> Problem {
    use worklist_item::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists { .. } => Problem::new(Code::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::HeldByOther => Problem::new(Code::HeldByOther, said),
        Error::TooManyModels => Problem::new(Code::TooLarge, said),
        Error::NotPending { .. } | Error::NotHeld | Error::Closed { .. } => {
            Problem::new(Code::TransitionRefused, said)
        }
    }
}

fn study(error: study::Error) -> Problem {
    use study::Error;
    let said = error.to_string();
    match error {
        Error::NotFound => Problem::not_found(),
        Error::OtherPatient => Problem::new(Code::OtherPatient, said),
        Error::Archived => Problem::new(Code::TransitionRefused, said),
        Error::SeriesExists | Error::InstanceExists => Problem::new(Code::AlreadyExists, said),
        Error::NoSuchSeries => CommandError::NoSuch(Reference::Series).into(),
        Error::OrderOfOtherPatient => {
            Problem::new(Code::Unacceptable, said.clone()).at("/imaging_order_id", said)
        }
        Error::StartAfterEnd => {
            Problem::new(Code::Unacceptable, said.clone()).at("/started_at", said)
        }
    }
}

/// Logged where the key was looked for.
fn keys_missing() -> Problem {
    Problem::new(
        Code::KeysMissing,
        "a patient's key is missing; nothing was written",
    )
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_missing_key() {
            return keys_missing();
        }
        match error {
            StoreError::Conflict { .. } | StoreError::Claimed(_) | StoreError::PatientKeyExists => {
                Self::new(
                    Code::Contention,
                    "too many commands at once on this resource",
                )
            }
            StoreError::Unavailable(why) => unavailable(why),
            StoreError::OutcomeUnknown => Self::new(
                Code::OutcomeUnknown,
                "repeat the request with the same Idempotency-Key to find out",
            ),
            StoreError::EventTooLarge { .. } => Self::new(
                Code::Unacceptable,
                "the change does not fit into one event of 256 KiB",
            ),
            StoreError::Engine(error) => engine(&error),
            StoreError::Keys(KeyError::Engine(error)) => engine(&error),
            StoreError::Keys(KeyError::Closing) => unavailable(Unavailable::Closing),
            StoreError::Unreadable { .. }
            | StoreError::Keys(
                KeyError::Misfit(_)
                | KeyError::MasterKeyForm
                | KeyError::MasterKeyWeak
                | KeyError::Missing
                | KeyError::Damaged
                | KeyError::DamagedSecret,
            ) => Self::internal(&error),
        }
    }
}

fn unavailable(why: Unavailable) -> Problem {
    let detail = match why {
        Unavailable::QueueFull => "too many commands wait already; nothing was written",
        Unavailable::Deadline => "the command waited too long; nothing was written",
        Unavailable::Closing => "the server is stopping; nothing was written",
        Unavailable::Database => "the database is away; nothing was written",
        Unavailable::Crowded => {
            "the tenant's other requests take its share of the database; try again later"
        }
    };
    Problem::new(Code::Unavailable, detail)
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        engine(&error)
    }
}

fn engine(error: &EngineError) -> Problem {
    match error {
        EngineError::Broken(_) | EngineError::Unavailable(_) => {
            tracing::warn!(error = causes(error), "the database is away");
            Problem::new(Code::Unavailable, "the database is away")
        }
        EngineError::Archived { .. } => Problem::new(Code::Archived, error.to_string()),
        EngineError::Refused(_) | EngineError::Damaged(_) => Problem::internal(error),
        EngineError::KeyMissing => keys_missing(),
        EngineError::NotBuilt(_) => Problem::new(Code::ProjectionLagging, error.to_string()),
    }
}
