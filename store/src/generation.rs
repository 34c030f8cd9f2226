//! Generations of read models: the tables of one schema, which are built, swapped in, retired and dropped.
//!
//! The states are `filling -> indexing -> verifying -> joining -> live -> retired`; if the comparison with the log
//! fails, the state becomes `failed`. A schema (model and version) has at most one live generation and at most one
//! being built.

use std::collections::HashMap;
use std::fmt;

use tokio::sync::watch;

use crate::error::{Corruption, EngineError};
use crate::read_model::{Checkpoint, ReadModel, Table};

/// A generation of a read model's schema, as stored in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Name of its table.
    pub name: String,
    /// Name of the read model.
    pub model: String,
    /// Schema version.
    pub version: u32,
    /// Number of the generation within its schema, from 1.
    pub generation: u32,
    /// Names of all its tables: that of the read model first, then any additional ones.
    pub tables: Vec<String>,
    /// State of the generation.
    pub state: GenerationState,
    /// Last event processed. During the backfill, it is the last first event of a stream that was processed.
    pub checkpoint: Checkpoint,
}

impl Generation {
    /// Returns whether the generation has this model's schema.
    pub fn matches(&self, model: &ReadModel) -> bool {
        self.model == model.name && self.version == model.version
    }
}

/// The state of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationState {
    /// Backfill from the start of the log, without indexes. Each stream is folded at its first event with all its
    /// events up to the backfill target, so that every row is written once.
    Filling {
        /// Backfill target: the head of the log when the rebuild was requested.
        upto: u64,
    },
    /// Its indexes are being built.
    Indexing,
    /// Its rows are compared with their streams, which are folded in two passes.
    Verifying {
        /// Number of streams compared.
        checked: u64,
    },
    /// It is complete, and follows the log until it is swapped in.
    Joining,
    /// It serves reads and is projected with the other live read models.
    Live,
    /// Another generation replaced it. It is retained until it is dropped.
    Retired,
    /// A row differed from the fold of its stream, or the start of the log is archived. It is retained until it is
    /// dropped.
    Failed {
        /// Which row failed and how, without PHI.
        reason: String,
    },
}

impl GenerationState {
    /// Returns whether the generation is being built.
    pub const fn is_building(&self) -> bool {
        match self {
            Self::Filling { .. } | Self::Indexing | Self::Verifying { .. } | Self::Joining => true,
            Self::Live | Self::Retired | Self::Failed { .. } => false,
        }
    }

    /// Returns the name of the state in the database.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Filling { .. } => "filling",
            Self::Indexing => "indexing",
            Self::Verifying { .. } => "verifying",
            Self::Joining => "joining",
            Self::Live => "live",
            Self::Retired => "retired",
            Self::Failed { .. } => "failed",
        }
    }

    /// Returns the backfill target as stored in the database; 0 in other states.
    pub(crate) const fn upto(&self) -> u64 {
        match self {
            Self::Filling { upto } => *upto,
            Self::Verifying { .. }
            | Self::Indexing
            | Self::Joining
            | Self::Live
            | Self::Retired
            | Self::Failed { .. } => 0,
        }
    }

    /// Returns the number of streams compared as stored in the database; 0 in other states.
    pub(crate) const fn checked(&self) -> u64 {
        match self {
            Self::Verifying { checked } => *checked,
            Self::Filling { .. }
            | Self::Indexing
            | Self::Joining
            | Self::Live
            | Self::Retired
            | Self::Failed { .. } => 0,
        }
    }

    /// Returns why the generation failed, if it did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason } => Some(reason),
            Self::Filling { .. }
            | Self::Indexing
            | Self::Verifying { .. }
            | Self::Joining
            | Self::Live
            | Self::Retired => None,
        }
    }

    pub(crate) fn parse(
        name: &str,
        upto: u64,
        checked: u64,
        reason: Option<String>,
    ) -> Result<Self, EngineError> {
        Ok(match name {
            "filling" => Self::Filling { upto },
            "indexing" => Self::Indexing,
            "verifying" => Self::Verifying { checked },
            "joining" => Self::Joining,
            "live" => Self::Live,
            "retired" => Self::Retired,
            "failed" => Self::Failed {
                reason: reason.unwrap_or_default(),
            },
            _ => return Err(damaged("state")),
        })
    }
}

impl fmt::Display for GenerationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Parses stored names of tables. The names become part of SQL statements, so any other characters are rejected.
pub(crate) fn parse_tables(text: &str) -> Result<Vec<String>, EngineError> {
    let is_name = |text: &str| {
        let of_a_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        !text.is_empty() && text.bytes().all(of_a_name)
    };
    let names: Vec<String> = text.split(' ').map(str::to_owned).collect();
    if names.iter().all(|name| is_name(name)) {
        Ok(names)
    } else {
        Err(damaged("tables"))
    }
}

fn damaged(column: &'static str) -> EngineError {
    Corruption::Column {
        column,
        position: 0,
    }
    .into()
}

/// A generation to be created.
#[derive(Debug, Clone)]
pub struct NewGeneration {
    /// Its tables; that of the read model first.
    pub tables: Vec<Table>,
    /// [`GenerationState::Live`], or [`GenerationState::Filling`] with the head of the log as target.
    pub state: GenerationState,
}

/// The live table of each read model, as this process knows them.
#[derive(Debug)]
pub struct LiveTables(watch::Sender<HashMap<&'static str, Table>>);

impl Default for LiveTables {
    fn default() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }
}

impl LiveTables {
    /// Sets the live tables.
    pub fn set(&self, tables: impl IntoIterator<Item = Table>) {
        let tables = tables
            .into_iter()
            .map(|table| (table.model.name, table))
            .collect();
        self.0.send_if_modified(|shown| {
            let changed = *shown != tables;
            *shown = tables;
            changed
        });
    }

    /// Returns the live table of a read model, if it is known.
    pub(crate) fn live_table_of(&self, model: &ReadModel) -> Option<Table> {
        self.0.borrow().get(model.name).copied()
    }

    pub(crate) fn note(&self, table: Table) {
        self.0.send_modify(|map| {
            map.insert(table.model.name, table);
        });
    }
}
