//! Generations: the fillings of a read model's shape, of which one is read and another may be in the making.
//!
//! `filling -> indexing -> verifying -> joining -> live -> retired`; a comparison with the log that fails ends in
//! `failed`. Of a shape (model and version) at most one generation is live, and at most one in the making.

use std::collections::HashMap;
use std::fmt;

use tokio::sync::watch;

use crate::engine::Engine;
use crate::error::{Corruption, EngineError};
use crate::read_model::{Checkpoint, ReadModel, Table};

/// A filling of a read model's shape, as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its table.
    pub name: String,
    /// The model's name.
    pub model: String,
    /// The shape's version.
    pub version: u32,
    /// Counted from 1 for each shape.
    pub generation: u32,
    /// All its tables: that of the model, and what lies beside it.
    pub tables: Vec<String>,
    /// Where it is.
    pub state: GenerationState,
    /// The last event it has seen; while it is filled, of those that begin a stream.
    pub checkpoint: Checkpoint,
}

impl Generation {
    /// Whether it is of this shape.
    pub fn matches(&self, model: &ReadModel) -> bool {
        self.model == model.name && self.version == model.version
    }
}

/// Where a generation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationState {
    /// It is folded from the log's beginning, without indexes: each stream when it begins, with all that it has up to a
    /// position, so that every row is written once.
    Filling {
        /// The log's end when it was asked for.
        upto: u64,
    },
    /// Its indexes are built.
    Indexing,
    /// Its rows are compared with their streams, folded in two goes.
    Verifying {
        /// How many streams were compared.
        checked: u64,
    },
    /// It is whole, and follows the log until it takes the place of the one before.
    Joining,
    /// It is read, and projected with the others.
    Live,
    /// Another took its place. It is kept until it is dropped.
    Retired,
    /// A row was not what its stream makes, or the log's beginning is archived. It is kept until it is dropped.
    Failed {
        /// Which, and how; without PHI.
        reason: String,
    },
}

impl GenerationState {
    /// Whether it is in the making.
    pub const fn is_building(&self) -> bool {
        match self {
            Self::Filling { .. } | Self::Indexing | Self::Verifying { .. } | Self::Joining => true,
            Self::Live | Self::Retired | Self::Failed { .. } => false,
        }
    }

    /// Its name in the database.
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

    /// How far it is to be filled, as the database keeps it.
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

    /// How many streams were compared, as the database keeps it.
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

    /// Why it failed.
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

/// Names of tables, as the database keeps them; they become part of statements, so that nothing else passes for one.
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

/// A generation that is about to be.
#[derive(Debug, Clone)]
pub struct NewGeneration {
    /// Its tables, that of the model first.
    pub tables: Vec<Table>,
    /// [`GenerationState::Live`], or [`GenerationState::Filling`] up to the log's end.
    pub state: GenerationState,
}

/// Which table this process reads of each model.
#[derive(Debug)]
pub struct LiveTables(watch::Sender<HashMap<&'static str, Table>>);

impl Default for LiveTables {
    fn default() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }
}

impl LiveTables {
    /// From now on these are read.
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

    fn live_table_of(&self, model: &ReadModel) -> Option<Table> {
        self.0.borrow().get(model.name).copied()
    }

    fn note(&self, table: Table) {
        self.0.send_modify(|map| {
            map.insert(table.model.name, table);
        });
    }
}

/// The table that is read of a model. A process that projects nothing looks when it first needs to know.
///
/// # Errors
/// [`EngineError::ReadModelNotReady`] where there is none yet.
pub(crate) async fn live_table<E: Engine + ?Sized>(
    engine: &E,
    model: &'static ReadModel,
) -> Result<Table, EngineError> {
    match engine.live_tables().live_table_of(model) {
        Some(table) => Ok(table),
        None => fetch_live_table(engine, model).await,
    }
}

/// The same, as the database says now: the table that was read before may be dropped.
pub(crate) async fn refresh_live_table<E: Engine + ?Sized>(
    engine: &E,
    before: Table,
) -> Result<Option<Table>, EngineError> {
    let now = fetch_live_table(engine, before.model).await?;
    Ok((now != before).then_some(now))
}

async fn fetch_live_table<E: Engine + ?Sized>(
    engine: &E,
    model: &'static ReadModel,
) -> Result<Table, EngineError> {
    let generations = engine.generations().await?;
    let live = generations
        .iter()
        .find(|generation| generation.matches(model) && generation.state == GenerationState::Live);
    let generation = live
        .ok_or(EngineError::ReadModelNotReady(model.name))?
        .generation;
    let table = Table { model, generation };
    engine.live_tables().note(table);
    Ok(table)
}
