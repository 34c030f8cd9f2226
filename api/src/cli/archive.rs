//! `roentgen archive`: moves the oldest log partitions into files (docs/adr/0012).

pub(super) mod file;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use roentgen_domain::Aggregate as _;
use roentgen_domain::ai_model::AiModel;
use roentgen_domain::caseload::Caseload;
use roentgen_domain::modality::Modality;
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::procedure::Procedure;
use roentgen_domain::reading_profile::ReadingProfile;
use roentgen_domain::report_template::ReportTemplate;
use roentgen_store::archive::{ArchivedPartition, LogPartition};
use roentgen_store::chain::Head;
use roentgen_store::chain_verification::ChainBreak;
use roentgen_store::engine::LogArchive;

use super::export;
use crate::serve::shutdown_signal;

/// Stream types that are used for years without an event. Their events stay in the log regardless of age.
const RETAINED_STREAM_TYPES: [&str; 7] = [
    AiModel::STREAM_TYPE,
    Caseload::STREAM_TYPE,
    Modality::STREAM_TYPE,
    PacsEndpoint::STREAM_TYPE,
    Procedure::STREAM_TYPE,
    ReadingProfile::STREAM_TYPE,
    ReportTemplate::STREAM_TYPE,
];

/// Arguments of `roentgen archive`.
#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// Archive partitions that end at or before this position.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    upto: u64,
    /// Existing directory for the files, one per partition.
    #[arg(long)]
    out: PathBuf,
}

/// Archives partitions one by one; each is archived completely or not at all. An interrupted run is resumed by running
/// the command again.
pub(super) async fn run(log: &dyn LogArchive, what: &ArchiveArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        what.out.is_dir(),
        "{} is not a directory",
        what.out.display()
    );
    if log.oldest_partition().await?.is_none() {
        bail!("log has no partitions (SQLite, or empty)");
    }
    let mut archived = 0;
    while let Some(partition) = log.oldest_partition().await? {
        let head = log.head().await?.position;
        if partition.last() > what.upto || partition.last() >= head {
            break;
        }
        tokio::select! {
            done = archive_partition(log, what, partition) => done?,
            stopped = shutdown_signal() => {
                stopped?;
                bail!("interrupted; the current partition was not archived")
            }
        }
        archived += 1;
    }
    println!("archived {archived} partitions");
    Ok(ExitCode::SUCCESS)
}

async fn archive_partition(
    log: &dyn LogArchive,
    what: &ArchiveArgs,
    partition: LogPartition,
) -> anyhow::Result<()> {
    let file_name = format!(
        "events-{:012}-{:012}.parquet",
        partition.after() + 1,
        partition.last()
    );
    let path = what.out.join(&file_name);
    // An existing file comes from an interrupted run; it is verified like any other.
    if !path.try_exists()? {
        export::write_partition(log, partition, &path).await?;
    }
    let last = log.event_at(partition.last()).await?;
    let last_hash = last.context("last event of the partition is missing")?.hash;
    let archives = log.archives().await?;
    let before = archives.last().map_or_else(Head::default, head_of);
    let walked = file::walk(path.clone(), before, Vec::new(), None).await?;
    let head = walked.map_err(|ChainBreak { position, reason }| {
        anyhow::anyhow!("{} at position {position}: {reason}", path.display())
    })?;
    let end = Head {
        position: partition.last(),
        hash: last_hash,
    };
    ensure!(head == end, "{} does not match the log", path.display());
    let archive = ArchivedPartition {
        partition,
        last_hash,
        file_sha256: file::sha256(path.clone()).await?,
        file_name,
    };
    let kept = log.archive_oldest(&archive, &RETAINED_STREAM_TYPES).await?;
    println!(
        "archived positions {} to {} into {}; {kept} events of active streams retained in the log",
        partition.after() + 1,
        partition.last(),
        path.display()
    );
    Ok(())
}

/// Returns the last position of an archive and its chain hash.
pub(super) fn head_of(archive: &ArchivedPartition) -> Head {
    Head {
        position: archive.partition.last(),
        hash: archive.last_hash,
    }
}
