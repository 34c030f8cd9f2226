//! `roentgen export`: writes the log to files for analysts (contract, section 6). Reads the database directly, one
//! transaction per page, with or without running servers. PHI stays encrypted; no key is read.

mod ndjson;
mod parquet;
mod partial_file;
mod row;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use roentgen_store::archive::LogPartition;
use roentgen_store::engine::EventLog;
use roentgen_store::log::{LogFilter, StoredEvent};

use self::parquet::{BOUNDS, ColumnSet, Parquet};
use super::progress_line::ProgressLine;
use crate::serve::shutdown_signal;
use partial_file::PartialFile;
use row::Row;

/// Number of events per page.
const PAGE: u32 = 5000;

/// Arguments of `roentgen export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Output format.
    #[arg(long, value_enum)]
    format: Format,
    /// Export only events after this position (the last position of the previous run).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    after: u64,
    /// Output file, renamed into place when complete; default standard output.
    #[arg(long, required_if_eq("format", "parquet"))]
    out: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long, requires = "out")]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object per line.
    Ndjson,
    /// Typed, compressed columns; requires --out.
    Parquet,
}

/// Range of events: `after < position <= until`.
#[derive(Debug, Clone, Copy)]
struct Range {
    after: u64,
    until: u64,
}

/// Summary line printed after the export.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, until } = self;
        let events = until - after;
        write!(
            f,
            "exported {events} events up to position {until}; continue with --after {until}"
        )
    }
}

/// Exports up to the current head and prints the exported range. A failed or interrupted run leaves no file.
pub(super) async fn run(log: &dyn EventLog, export: &ExportArgs) -> anyhow::Result<ExitCode> {
    let range = Range {
        after: export.after,
        until: log.head().await?.position,
    };
    ensure!(
        range.after <= range.until,
        "log ends at position {}, before {}: it was restored to an earlier point or is a different log",
        range.until,
        range.after
    );
    match &export.out {
        Some(path) => {
            let mut unfinished = PartialFile::create_next_to(path, export.force)?;
            tokio::select! {
                written = write(log, range, export.format, unfinished.file()) => written?,
                stopped = shutdown_signal() => {
                    stopped?;
                    bail!("interrupted; incomplete export discarded")
                }
            }
            unfinished.persist()?;
            let _ = writeln!(io::stdout(), "{range}");
        }
        None => match write(log, range, export.format, &mut io::stdout()).await {
            Err(error) if is_broken_pipe(&error) => {}
            written => {
                written?;
                let _ = writeln!(io::stderr(), "{range}");
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes all stored columns of a partition to a new file.
pub(super) async fn write_partition(
    log: &dyn EventLog,
    partition: LogPartition,
    path: &Path,
) -> anyhow::Result<()> {
    let mut unfinished = PartialFile::create_next_to(path, false)?;
    let mut file = Parquet::begin(unfinished.file(), BOUNDS, ColumnSet::Full)?;
    let range = Range {
        after: partition.after(),
        until: partition.last(),
    };
    walk(log, range, |event| file.push(event)).await?;
    file.finish()?;
    unfinished.persist()
}

/// Returns whether the reader closed standard output. I/O errors of the database are nested deeper and do not match.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let written = error.downcast_ref::<io::Error>();
    written.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn write(
    log: &dyn EventLog,
    range: Range,
    format: Format,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    match format {
        Format::Ndjson => {
            let mut out = BufWriter::new(out);
            walk(log, range, |event| {
                Ok(ndjson::write(&mut out, &Row::from_event(&event)?)?)
            })
            .await?;
            out.flush()?;
        }
        Format::Parquet => {
            let mut file = Parquet::begin(out, BOUNDS, ColumnSet::Public)?;
            walk(log, range, |event| file.push(event)).await?;
            file.finish()?;
        }
    }
    Ok(())
}

/// Passes every event of the range to the closure, in position order.
async fn walk(
    log: &dyn EventLog,
    range: Range,
    mut each: impl FnMut(StoredEvent) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let all = LogFilter::default();
    let progress = ProgressLine::new(Some(range.until - range.after));
    let mut at = range.after;
    while at < range.until {
        let rest = u32::try_from(range.until - at).unwrap_or(u32::MAX);
        let events = log.read_log(at, rest.min(PAGE), &all).await?.events;
        ensure!(!events.is_empty(), missing_event(at + 1));
        for event in events {
            ensure!(event.position == at + 1, missing_event(at + 1));
            at = event.position;
            each(event)?;
        }
        progress.at(at - range.after);
    }
    Ok(())
}

/// Returns the message for a gap: a file with a missing event would look complete to its readers.
fn missing_event(position: u64) -> String {
    format!("event at position {position} is missing; run roentgen verify")
}
