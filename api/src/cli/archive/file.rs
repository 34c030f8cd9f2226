//! Reads an archive file back and verifies its hash chain.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Row, RowAccessor as _};
use roentgen_domain::ids::{EventId, StreamId, TenantId};
use roentgen_store::chain::{self, Digest, Head};
use roentgen_store::chain_verification::{ChainBreak, ChainWalk, NamedKey};
use roentgen_store::log::StoredEvent;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Position and chain hash of an archived event that is still in the log.
pub(in crate::cli) type RetainedEvent = (u64, Digest);

/// Verifies the file's hash chain from `before` to its end, computing every leaf hash from the file's content. `kept`
/// are the events still in the log, in order; they must equal the file's. Ids of keys that sealed PHI names are sent to
/// `parts`.
pub(in crate::cli) async fn walk(
    path: PathBuf,
    before: Head,
    kept: Vec<RetainedEvent>,
    parts: Option<mpsc::Sender<Vec<NamedKey>>>,
) -> anyhow::Result<Result<Head, ChainBreak>> {
    // The Parquet reader may panic on a corrupt file. In a task, the panic becomes an error.
    let walked = tokio::task::spawn_blocking(move || walk_now(&path, before, &kept, parts));
    walked.await.context("cannot read file")?
}

fn walk_now(
    path: &Path,
    before: Head,
    kept: &[RetainedEvent],
    parts: Option<mpsc::Sender<Vec<NamedKey>>>,
) -> anyhow::Result<Result<Head, ChainBreak>> {
    let unread = || format!("cannot read {}", path.display());
    let file = SerializedFileReader::new(File::open(path).with_context(unread)?);
    let file = file.with_context(unread)?;
    let mut chain = ChainWalk::after(before);
    let mut kept = kept.iter().peekable();
    let mut named = SealedKeyIds {
        waiting: Vec::new(),
        to: parts,
    };
    for row in file.get_row_iter(None).with_context(unread)? {
        let position = chain.head().position + 1;
        let event = row.context("a row").and_then(|row| event(&row));
        let event = event.with_context(|| format!("{}, position {position}", path.display()))?;
        if let Err(broken) = chain.advance(&event) {
            return Ok(Err(broken));
        }
        named.push(&event);
        let in_log = kept.next_if(|(at, _)| *at == position);
        if in_log.is_some_and(|(_, hash)| *hash != event.hash) {
            let reason = "retained event differs from the archive";
            return Ok(Err(ChainBreak { position, reason }));
        }
    }
    named.flush();
    Ok(Ok(chain.head()))
}

/// Key ids that sealed PHI names, batched for the receiver that checks them.
struct SealedKeyIds {
    waiting: Vec<NamedKey>,
    to: Option<mpsc::Sender<Vec<NamedKey>>>,
}

impl SealedKeyIds {
    const BATCH_SIZE: usize = 5000;

    fn push(&mut self, event: &StoredEvent) {
        self.waiting.extend(NamedKey::from_event(event));
        if self.waiting.len() >= Self::BATCH_SIZE {
            self.flush();
        }
    }

    /// Sends the batch. If the receiver is dropped, verification continues without it.
    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(to) = &self.to {
            let _ = to.blocking_send(waiting);
        }
    }
}

/// Parses a row; the indices follow the column order of the export.
fn event(row: &Row) -> anyhow::Result<StoredEvent> {
    let id = |column| anyhow::Ok(row.get_string(column)?.parse::<Uuid>()?);
    let number = |column| anyhow::Ok(u64::try_from(row.get_long(column)?)?);
    let digest = |column| anyhow::Ok(Digest::try_from(row.get_bytes(column)?.data())?);
    Ok(StoredEvent {
        position: number(0)?,
        event_id: EventId::from(id(1)?),
        tenant_id: TenantId::from(id(2)?),
        stream_type: row.get_string(3)?.as_str().into(),
        stream_id: StreamId::from(id(4)?),
        version: number(5)?,
        event_type: row.get_string(6)?.as_str().into(),
        schema_version: u32::try_from(row.get_int(7)?)?,
        recorded_at_ms: row.get_timestamp_millis(8)?,
        payload: row.get_string(12)?.clone(),
        leaf: digest(14)?,
        hash: digest(15)?,
        sealed: row.get_bytes(16)?.data().to_vec(),
        metadata: row.get_string(17)?.clone(),
    })
}

/// Returns the SHA-256 digest of the file.
pub(in crate::cli) async fn sha256(path: PathBuf) -> anyhow::Result<Digest> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        let mut hasher = chain::Hasher::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return anyhow::Ok(hasher.finish()),
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
    });
    hashed.await?
}
