//! Classification of failed effects.

use std::time::Duration;

use roentgen_store::StoreError;
use roentgen_store::error::{Corruption, EngineError, KeyError};

use crate::error::CommandError;

/// Time for which an effect is retried after the database rejects a statement, 1 h: enough to restore a privilege or to
/// finish a migration.
const REPAIR_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// A component is unavailable, or a limit of concurrent work is reached.
    Transient,
    /// The database rejects the statement until an operator repairs schema or privileges.
    Repairable,
    /// Stored data cannot be read, or new data cannot be stored.
    Permanent,
    /// The command is rejected, as it would be for any caller.
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

    /// Checks whether an effect that has failed for `failed_for` is retried.
    pub(super) fn should_retry(self, failed_for: Duration) -> bool {
        match self {
            Self::Transient => true,
            Self::Repairable => failed_for < REPAIR_WINDOW,
            Self::Permanent | Self::Rejected => false,
        }
    }

    /// Records in log and metrics that an effect is not retried any more.
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
            KeyError::Mismatch(_)
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
        // The append function of another release may return another result type.
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
