//! Which failures pass by themselves.

use roentgen_store::StoreError;
use roentgen_store::error::EngineError;

use crate::error::CommandError;

/// How often an effect is tried that the database refuses: it may have been the schema's fault, but hardly for long.
const TRIES_OF_THE_REFUSED: u32 = 12;

/// Whether what failed, for the so-manieth time, is worth another try: something is down, or too much is going on.
pub(super) fn passes_by_itself(error: &CommandError, tries: u32) -> bool {
    match error {
        CommandError::Contention => true,
        CommandError::Store(error) => store_recovers(error, tries),
        CommandError::Refused(_)
        | CommandError::NoSuch(_)
        | CommandError::Inactive(_)
        | CommandError::NotTheStudys(_)
        | CommandError::Unacceptable(_)
        | CommandError::VersionMismatch { .. }
        | CommandError::KeyReused => false,
    }
}

fn store_recovers(error: &StoreError, tries: u32) -> bool {
    match error {
        StoreError::EventTooLarge { .. } | StoreError::Unreadable { .. } => false,
        StoreError::Engine(EngineError::Refused(_) | EngineError::Damaged(_)) => {
            tries < TRIES_OF_THE_REFUSED
        }
        StoreError::Engine(EngineError::Broken(_) | EngineError::Unavailable(_))
        | StoreError::Conflict { .. }
        | StoreError::Claimed(_)
        | StoreError::PatientKeyExists
        | StoreError::Unavailable(_)
        | StoreError::OutcomeUnknown
        | StoreError::Keys(_) => true,
    }
}
