//! What is to be done about an effect that failed.

use std::time::Duration;

use roentgen_store::StoreError;
use roentgen_store::error::{Corruption, EngineError};
use roentgen_store::keys::KeyError;

use crate::error::CommandError;

/// How long an effect is tried that the database refuses: long enough for somebody to give back a privilege or to
/// finish a migration.
const REPAIR_WINDOW: Duration = Duration::from_secs(60 * 60);

/// What a failure is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Something is down, or too much is going on.
    Transient,
    /// The database refuses the statement, and will until somebody mends schema or privileges.
    Repairable,
    /// What is stored cannot be read, or what is to be stored cannot be.
    Permanent,
    /// The command is refused, as it would be to anybody.
    Rejected,
}

impl FailureKind {
    pub(super) fn classify(error: &CommandError) -> Self {
        match error {
            CommandError::Contention => Self::Transient,
            CommandError::Store(error) => of_store(error),
            CommandError::Domain(_)
            | CommandError::ReferenceNotFound(_)
            | CommandError::ReferenceInactive(_)
            | CommandError::ReferenceMismatch(_)
            | CommandError::Invalid(_)
            | CommandError::IdOfOtherType
            | CommandError::VersionMismatch { .. }
            | CommandError::TooLarge
            | CommandError::IdempotencyKeyReused => Self::Rejected,
        }
    }

    /// Whether what has failed for so long is worth another try.
    pub(super) fn should_retry(self, failed_for: Duration) -> bool {
        match self {
            Self::Transient => true,
            Self::Repairable => failed_for < REPAIR_WINDOW,
            Self::Permanent | Self::Rejected => false,
        }
    }

    /// Says, in the log and in numbers, that an effect will not be tried again.
    pub(super) fn record_final_failure(self, effect: &str, position: Option<u64>, reason: &str) {
        let label = effect.to_owned();
        metrics::counter!("roentgen_policy_refusals_total", "effect" => label.clone()).increment(1);
        match self {
            Self::Rejected => tracing::warn!(
                event = "policy.effect_rejected",
                effect,
                position,
                reason,
                "effect rejected",
            ),
            Self::Transient | Self::Repairable | Self::Permanent => {
                tracing::error!(
                    event = "policy.effect_failed",
                    effect,
                    position,
                    reason,
                    "effect abandoned",
                );
                metrics::counter!("roentgen_policy_effects_given_up_total", "effect" => label)
                    .increment(1);
            }
        }
    }
}

fn of_store(error: &StoreError) -> FailureKind {
    match error {
        StoreError::Engine(error) => of_engine(error),
        StoreError::Keys(KeyError::Engine(error)) => of_engine(error),
        StoreError::Keys(KeyError::Closing)
        | StoreError::Conflict { .. }
        | StoreError::KeyTaken(_)
        | StoreError::PatientKeyExists
        | StoreError::Unavailable(_)
        | StoreError::OutcomeUnknown => FailureKind::Transient,
        StoreError::EventTooLarge { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Unwritable(_)
        | StoreError::Keys(
            KeyError::Misfit(_)
            | KeyError::MalformedMasterKey
            | KeyError::MasterKeyWeak
            | KeyError::Missing
            | KeyError::CorruptPatientKey
            | KeyError::CorruptSecret,
        ) => FailureKind::Permanent,
    }
}

fn of_engine(error: &EngineError) -> FailureKind {
    match error {
        EngineError::ConnectionLost(_)
        | EngineError::Unavailable(_)
        | EngineError::ReadModelNotReady(_) => FailureKind::Transient,
        // Another release's append function answers in another shape.
        EngineError::Rejected(_) | EngineError::Corrupt(Corruption::AppendResult) => {
            FailureKind::Repairable
        }
        EngineError::Corrupt(Corruption::Column { .. })
        | EngineError::Archived { .. }
        | EngineError::KeyMissing => FailureKind::Permanent,
    }
}

#[cfg(test)]
mod tests;
