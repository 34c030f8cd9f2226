//! Readers of exported files.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Row, RowAccessor as _};
use roentgen_domain::Timestamp;
use roentgen_store::chain::hex;
use roentgen_tests::python;
use serde_json::{Value, json};

/// Columns of every row, and their DuckDB types in Parquet.
pub(super) const COLUMNS: [(&str, &str); 16] = [
    ("position", "BIGINT"),
    ("id", "VARCHAR"),
    ("tenant_id", "VARCHAR"),
    ("stream_type", "VARCHAR"),
    ("stream_id", "VARCHAR"),
    ("version", "BIGINT"),
    ("type", "VARCHAR"),
    ("schema_version", "INTEGER"),
    ("recorded_at", "TIMESTAMP WITH TIME ZONE"),
    ("actor", "JSON"),
    ("correlation_id", "VARCHAR"),
    ("causation_id", "VARCHAR"),
    ("data", "JSON"),
    ("phi", "VARCHAR"),
    ("leaf", "BLOB"),
    ("hash", "BLOB"),
];

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExportFormat {
    Ndjson,
    Parquet,
}

impl ExportFormat {
    pub(super) const ALL: [Self; 2] = [Self::Ndjson, Self::Parquet];

    /// Returns the value for `--format`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// Reads a file's rows in NDJSON form. Parquet is read twice, by DuckDB and by the crate that wrote it.
    pub(super) fn rows(self, path: &Path) -> Result<Vec<Value>> {
        match self {
            Self::Ndjson => ndjson(&std::fs::read_to_string(path)?),
            Self::Parquet => {
                let rows = by_duckdb(path)?;
                assert_eq!(by_the_crate(path)?, rows, "two readers, one file");
                Ok(rows)
            }
        }
    }
}

fn ndjson(text: &str) -> Result<Vec<Value>> {
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn by_duckdb(path: &Path) -> Result<Vec<Value>> {
    let script = include_str!("duckdb_rows.py");
    let read = python().args(["-c", script]).arg(path).output()?;
    let said = String::from_utf8_lossy(&read.stderr);
    ensure!(
        read.status.success(),
        "needs tests/requirements.txt: {said}"
    );
    let mut rows = ndjson(&String::from_utf8(read.stdout)?)?;
    assert_eq!(rows.remove(0), json!(COLUMNS));
    for row in &mut rows {
        row["recorded_at"] = time(row["recorded_at"].as_i64().context("no time")?)?;
    }
    Ok(rows)
}

fn by_the_crate(path: &Path) -> Result<Vec<Value>> {
    let file = SerializedFileReader::new(File::open(path)?)?;
    let rows = file.get_row_iter(None)?;
    rows.map(|row| object(&row?)).collect()
}

fn object(row: &Row) -> Result<Value> {
    let text = |column| row.get_string(column);
    let parsed = |column| anyhow::Ok(serde_json::from_str::<Value>(text(column)?)?);
    let digest = |column| anyhow::Ok(hex(row.get_bytes(column)?.data()));
    Ok(json!({
        "position": row.get_long(0)?,
        "id": text(1)?,
        "tenant_id": text(2)?,
        "stream_type": text(3)?,
        "stream_id": text(4)?,
        "version": row.get_long(5)?,
        "type": text(6)?,
        "schema_version": row.get_int(7)?,
        "recorded_at": time(row.get_timestamp_millis(8)?)?,
        "actor": parsed(9)?,
        "correlation_id": text(10)?,
        "causation_id": text(11).ok(),
        "data": parsed(12)?,
        "phi": text(13)?,
        "leaf": digest(14)?,
        "hash": digest(15)?,
    }))
}

fn time(millis: i64) -> Result<Value> {
    let time = Timestamp::from_millis(millis).context("no time")?;
    Ok(json!(time.to_string()))
}
