//! Verification of the hash chain: detects events that were changed after they were written.

mod keys;

pub use keys::{KeyCheck, KeyFindings, NamedKey};

use crate::chain;
use crate::chain::Head;
use crate::engine::LogArchive;
use crate::error::{Corruption, EngineError};
use crate::log::{LogFilter, StoredEvent};

/// Number of events per read.
const PAGE: u32 = 5000;

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// All events match their leaf hashes and the hash chain.
    Intact {
        /// Last archived position, or 0. Up to this position the archive's last chain hash is trusted and not
        /// recomputed.
        after: u64,
        /// The last event verified.
        head: Head,
    },
    /// The log was tampered with; the first break.
    Broken(ChainBreak),
}

/// The first position at which the hash chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// First position that was altered, removed, reordered or inserted.
    pub position: u64,
    /// What is wrong at this position.
    pub reason: &'static str,
}

/// A verification of the hash chain, event by event.
#[derive(Debug, Clone, Copy)]
pub struct ChainWalk {
    head: Head,
}

impl ChainWalk {
    /// Starts after this head.
    pub const fn after(head: Head) -> Self {
        Self { head }
    }

    /// Returns the last event verified: its position and chain hash.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Verifies the next event and advances to it.
    ///
    /// # Errors
    ///
    /// [`ChainBreak`] if `event` is not the one that was written at the next position.
    pub fn advance(&mut self, event: &StoredEvent) -> Result<(), ChainBreak> {
        let position = self.head.position + 1;
        let broken = |reason| Err(ChainBreak { position, reason });
        if event.position != position {
            return broken("an event is missing");
        }
        let leaf = event.computed_leaf();
        if leaf != event.leaf {
            return broken("event does not match its leaf hash");
        }
        let hash = chain::link(&self.head.hash, position, event.recorded_at_ms, &leaf);
        if hash != event.hash {
            return broken("hash chain is broken at this event");
        }
        self.head = Head { position, hash };
        Ok(())
    }
}

/// Verifies the log from its first event, or from the end of its archives. `walked` receives each position reached,
/// `keys` receives the keys that the events name.
///
/// # Errors
///
/// [`EngineError`] if the log cannot be read. A broken chain is not an error; it returns [`Verification::Broken`].
pub async fn verify(
    log: &dyn LogArchive,
    mut keys: Option<&mut KeyCheck<'_>>,
    mut walked: impl FnMut(u64) + Send,
) -> Result<Verification, EngineError> {
    let start = beginning(log).await?;
    let found = match verify_retained(log, keys.as_deref_mut()).await? {
        Ok(()) => walk(log, ChainWalk::after(start), keys, &mut walked).await?,
        Err(broken) => Err(broken),
    };
    let head = match found {
        Ok(head) => head,
        Err(broken) => return Ok(Verification::Broken(broken)),
    };
    Ok(match log.first_stream_mismatch().await? {
        None => Verification::Intact {
            after: start.position,
            head,
        },
        Some(position) => Verification::Broken(ChainBreak {
            position,
            reason: "stream table disagrees with the log",
        }),
    })
}

/// Returns the position and chain hash after which the log is not archived.
async fn beginning(log: &dyn LogArchive) -> Result<Head, EngineError> {
    let archives = log.archives().await?;
    Ok(archives
        .last()
        .map_or_else(Head::default, |partition| Head {
            position: partition.partition.last(),
            hash: partition.last_hash,
        }))
}

/// Verifies the leaf hashes of archived events that are retained in the log. Their neighbours are not in the log, so
/// their chain hashes can be verified only with the archive files.
async fn verify_retained(
    log: &dyn LogArchive,
    mut keys: Option<&mut KeyCheck<'_>>,
) -> Result<Result<(), ChainBreak>, EngineError> {
    let mut after = 0;
    loop {
        let events = match decode_or_break(log.retained_events(after, PAGE).await)? {
            Ok(events) => events,
            Err(broken) => return Ok(Err(broken)),
        };
        let Some(last) = events.last() else {
            return Ok(Ok(()));
        };
        after = last.position;
        if let Some(keys) = &mut keys {
            keys.events(&events).await?;
        }
        if let Some(altered) = events
            .iter()
            .find(|event| event.computed_leaf() != event.leaf)
        {
            return Ok(Err(ChainBreak {
                position: altered.position,
                reason: "event does not match its leaf hash",
            }));
        }
    }
}

async fn walk(
    log: &dyn LogArchive,
    mut chain: ChainWalk,
    mut keys: Option<&mut KeyCheck<'_>>,
    walked: &mut (impl FnMut(u64) + Send),
) -> Result<Result<Head, ChainBreak>, EngineError> {
    loop {
        let at = chain.head().position;
        let all = LogFilter::default();
        let page = match decode_or_break(log.read_log(at, PAGE, &all).await)? {
            Ok(page) => page,
            Err(broken) => return Ok(Err(broken)),
        };
        if let Err(broken) = page
            .events
            .iter()
            .try_for_each(|event| chain.advance(event))
        {
            return Ok(Err(broken));
        }
        if let Some(keys) = &mut keys {
            keys.events(&page.events).await?;
        }
        walked(chain.head().position);
        if page.events.is_empty() && page.scanned_to <= at {
            return Ok(Ok(chain.head()));
        }
        if page.events.is_empty() {
            return Ok(Err(ChainBreak {
                position: at + 1,
                reason: "an event is missing",
            }));
        }
    }
}

/// Turns a value that cannot be decoded into a finding; other errors are returned.
fn decode_or_break<T>(read: Result<T, EngineError>) -> Result<Result<T, ChainBreak>, EngineError> {
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(EngineError::Corrupt(Corruption::Column { position, .. })) => Ok(Err(ChainBreak {
            position,
            reason: "malformed column",
        })),
        Err(error) => Err(error),
    }
}
