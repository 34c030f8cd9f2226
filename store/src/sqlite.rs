//! The SQLite engine: three files, with one writer each.
//!
//! `roentgen.db` contains the log, `roentgen-read.db` the read models and their checkpoints, `roentgen-keys.db` the
//! patient keys. In a single file the appender would starve the projector, and every backup of the log would contain
//! deleted keys.

mod append;
mod append_decision;
mod archive;
mod error_class;
mod file;
mod generations;
mod key_binding;
mod keys;
mod leases;
mod log;
mod meta;
mod parked_retry;
mod read_models;
mod readers;
mod row_reader;
mod statement;
mod subscriptions;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use async_trait::async_trait;
use sqlx::migrate::Migrator;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::LiveTables;
use crate::readers::Readers;

pub use error_class::{InsecureFileMode, UnsupportedSqliteVersion};
use file::{Durability, File};

static LOG: Migrator = sqlx::migrate!("../migrations/sqlite/log");
static READ: Migrator = sqlx::migrate!("../migrations/sqlite/read");
static KEYS: Migrator = sqlx::migrate!("../migrations/sqlite/keys");

/// A log, its read models and its keys, in three files of one directory.
#[derive(Debug)]
pub struct Sqlite {
    log: File,
    read: File,
    keys: File,
    live_tables: LiveTables,
    tenant_readers: Readers,
    /// Fingerprint of the master key, set once log and keys are known to belong to it.
    master_id: OnceLock<Vec<u8>>,
}

impl Sqlite {
    /// Opens the three files; `path` is that of the log. Missing files and their directory are created.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] around [`UnsupportedSqliteVersion`] if the linked SQLite version can corrupt a WAL.
    pub async fn open(path: &Path) -> Result<Self, EngineError> {
        let log = File::open(path, Durability::Log).await?;
        let read = File::open(&sibling_file(path, "read"), Durability::Rebuildable).await?;
        let keys = File::open(&sibling_file(path, "keys"), Durability::Secret).await?;
        let live_tables = LiveTables::default();
        Ok(Self {
            log,
            read,
            keys,
            live_tables,
            tenant_readers: Readers::apart(file::SHARED_READERS, file::RESERVED_READERS),
            master_id: OnceLock::new(),
        })
    }
}

impl Sqlite {
    fn master_id(&self) -> Option<&[u8]> {
        self.master_id.get().map(Vec::as_slice)
    }
}

/// Returns `<stem>-<part>.db` in the directory of the log's file.
fn sibling_file(path: &Path, part: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push("-");
    name.push(part);
    name.push(".db");
    path.with_file_name(name)
}

#[async_trait]
impl Engine for Sqlite {
    async fn migrate(&self) -> Result<(), EngineError> {
        self.log.migrate(&LOG).await?;
        self.read.migrate(&READ).await?;
        self.keys.migrate(&KEYS).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.log.ping().await?;
        self.read.ping().await?;
        self.keys.ping().await
    }

    fn readers(&self) -> &Readers {
        &self.tenant_readers
    }

    async fn close(&self) {
        self.log.close().await;
        self.read.close().await;
        self.keys.close().await;
    }
}
