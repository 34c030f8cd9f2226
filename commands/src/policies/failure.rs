//! What is to be done about an effect that failed.

use std::time::Duration;

use roentgen_store::StoreError;
use roentgen_store::error::{Damage, EngineError};
use roentgen_store::keys::KeyError;

use crate::error::CommandError;

/// How long an effect is tried that the database refuses: long enough for somebody to give back a privilege or to finish a
/// migration.
const MENDED_WITHIN: Duration = Duration::from_secs(60 * 60);

/// What a failure is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Something is down, or too much is going on.
    Passing,
    /// The database refuses the statement, and will until somebody mends schema or privileges.
    Mendable,
    /// What is stored cannot be read, or what is to be stored cannot be.
    Lasting,
    /// The command is refused, as it would be to anybody.
    Refusal,
}

impl Failure {
    pub(super) fn of(error: &CommandError) -> Self {
        match error {
            CommandError::Contention => Self::Passing,
            CommandError::Store(error) => of_store(error),
            CommandError::Refused(_)
            | CommandError::NoSuch(_)
            | CommandError::Inactive(_)
            | CommandError::NotTheStudys(_)
            | CommandError::Unacceptable(_)
            | CommandError::IdOfOtherType
            | CommandError::VersionMismatch { .. }
            | CommandError::TooLarge
            | CommandError::KeyReused => Self::Refusal,
        }
    }

    /// Whether what has failed for so long is worth another try.
    pub(super) fn is_tried_again(self, failed_for: Duration) -> bool {
        match self {
            Self::Passing => true,
            Self::Mendable => failed_for < MENDED_WITHIN,
            Self::Lasting | Self::Refusal => false,
        }
    }

    /// Says, in the log and in numbers, that an effect will not be tried again.
    pub(super) fn tell_the_end(self, effect: &str, position: Option<u64>, reason: &str) {
        let label = effect.to_owned();
        metrics::counter!("roentgen_policy_refusals_total", "effect" => label.clone()).increment(1);
        match self {
            Self::Refusal => tracing::warn!(effect, position, reason, "an effect was refused"),
            Self::Passing | Self::Mendable | Self::Lasting => {
                tracing::error!(effect, position, reason, "an effect was given up");
                metrics::counter!("roentgen_policy_effects_given_up_total", "effect" => label)
                    .increment(1);
            }
        }
    }
}

fn of_store(error: &StoreError) -> Failure {
    match error {
        StoreError::Engine(error) => of_engine(error),
        StoreError::Keys(KeyError::Engine(error)) => of_engine(error),
        StoreError::Keys(KeyError::Closing)
        | StoreError::Conflict { .. }
        | StoreError::Claimed(_)
        | StoreError::PatientKeyExists
        | StoreError::Unavailable(_)
        | StoreError::OutcomeUnknown => Failure::Passing,
        StoreError::EventTooLarge { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Keys(
            KeyError::Misfit(_)
            | KeyError::MasterKeyForm
            | KeyError::MasterKeyWeak
            | KeyError::Missing
            | KeyError::Damaged
            | KeyError::DamagedSecret,
        ) => Failure::Lasting,
    }
}

fn of_engine(error: &EngineError) -> Failure {
    match error {
        EngineError::Broken(_) | EngineError::Unavailable(_) | EngineError::NotBuilt(_) => {
            Failure::Passing
        }
        // Another release's append function answers in another shape.
        EngineError::Refused(_) | EngineError::Damaged(Damage::Answer) => Failure::Mendable,
        EngineError::Damaged(Damage::Column { .. })
        | EngineError::Archived { .. }
        | EngineError::KeyMissing => Failure::Lasting,
    }
}

#[cfg(test)]
mod tests;
