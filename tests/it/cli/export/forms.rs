//! Reading exports back.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// What every row has.
pub(super) const COLUMNS: [&str; 16] = [
    "position",
    "id",
    "tenant_id",
    "stream_type",
    "stream_id",
    "version",
    "type",
    "schema_version",
    "recorded_at",
    "actor",
    "correlation_id",
    "causation_id",
    "data",
    "phi",
    "leaf",
    "hash",
];

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Ndjson,
}

impl Form {
    pub(super) const ALL: [Self; 1] = [Self::Ndjson];

    /// As `--format` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
        }
    }

    /// A file's rows, as NDJSON has them.
    pub(super) fn rows(self, path: &Path) -> Result<Vec<Value>> {
        match self {
            Self::Ndjson => ndjson(&std::fs::read_to_string(path)?),
        }
    }
}

fn ndjson(text: &str) -> Result<Vec<Value>> {
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}
