//! The interface of a database engine. SQLite and PostgreSQL implement it; one contract test suite covers both.
//!
//! It is divided by what is stored, so that a caller takes only what it needs: an `Arc<dyn Engine>` coerces to an
//! `Arc` of each part.

mod event_log;
mod generation_store;
mod key_store;
mod lease_store;
mod log_archive;
mod read_model_store;
mod subscription_store;

use async_trait::async_trait;

use crate::error::EngineError;
use crate::readers::Readers;
use crate::rights::{Login, Rights};

pub use event_log::{EventLog, NotificationStream};
pub use generation_store::GenerationStore;
pub use key_store::{KeyBinding, KeyStore, SealedSecret};
pub use lease_store::LeaseStore;
pub use log_archive::LogArchive;
pub use read_model_store::ReadModelStore;
pub use subscription_store::SubscriptionStore;

/// Name of the stored flag that records that the database was served only with token authentication.
pub(crate) const SERVED_WITH_TOKENS: &str = "served_with_tokens";

/// A database with a log and read models. Calls are cancel-safe: a dropped future leaves no partial change.
///
/// # Errors
///
/// Every call can fail with [`EngineError::Unavailable`] (no connection, a lock, a timeout; nothing took effect),
/// [`EngineError::ConnectionLost`] (a write may have taken effect), [`EngineError::Rejected`] (the database would
/// reject the statement again; nothing took effect) and [`EngineError::Corrupt`] (stored data cannot be right). Reads
/// of the log that reach into an archive fail with [`EngineError::Archived`]. Appends for a patient whose registered
/// key is missing fail with [`EngineError::KeyMissing`]. Reads of a read model without a live generation fail with
/// [`EngineError::ReadModelNotReady`].
#[async_trait]
pub trait Engine:
    EventLog + LogArchive + KeyStore + ReadModelStore + GenerationStore + SubscriptionStore + LeaseStore
{
    /// Migrates the schema to this release, as the owner of the database.
    async fn migrate(&self) -> Result<(), EngineError>;

    /// Returns the rights that a login has but must not or should not have. [`Login::Server`] requires a migrated
    /// schema.
    async fn rights(&self, login: Login) -> Result<Rights, EngineError> {
        let _ = login;
        Ok(Rights::default())
    }

    /// Checks that the database responds, for readiness.
    async fn ping(&self) -> Result<(), EngineError>;

    /// Returns the shares of readers. Engine calls do not take a share themselves: see [`crate::reads`].
    fn readers(&self) -> &Readers;

    /// Closes all connections.
    async fn close(&self);
}
