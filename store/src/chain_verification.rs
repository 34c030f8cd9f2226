//! Walking the chain: is the log what it was when it was written?

mod keys;

pub use keys::{KeyCheck, KeyFindings, NamedKey};

use crate::chain;
use crate::engine::Engine;
use crate::error::{Corruption, EngineError};
use crate::log::{Head, LogFilter, StoredEvent};

/// How many events are read at once.
const PAGE: u32 = 5000;

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Everything is as it was written.
    Intact {
        /// The positions up to here are archived, and were taken at their last link's word.
        after: u64,
        /// Up to this head.
        head: Head,
    },
    /// The log was tampered with, first here.
    Broken(ChainBreak),
}

/// Where a chain breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainBreak {
    /// The first position that was altered, removed, reordered or inserted.
    pub position: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A walk along the chain, event by event.
#[derive(Debug, Clone, Copy)]
pub struct ChainWalk {
    head: Head,
}

impl ChainWalk {
    /// Goes on after this link.
    pub const fn after(head: Head) -> Self {
        Self { head }
    }

    /// How far the walk is.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Goes on to `event`, where it is the one that was written there.
    ///
    /// # Errors
    ///
    /// Where it is not.
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

/// Verifies the log from its first event, or from where its archives end. `walked` receives each position reached, and
/// `keys` the keys that the events name.
///
/// # Errors
///
/// [`EngineError`] if the log cannot be read. A broken chain is no error but [`Verification::Broken`].
pub async fn verify(
    engine: &dyn Engine,
    mut keys: Option<&mut KeyCheck<'_>>,
    mut walked: impl FnMut(u64) + Send,
) -> Result<Verification, EngineError> {
    let start = beginning(engine).await?;
    let found = match verify_retained(engine, keys.as_deref_mut()).await? {
        Ok(()) => walk(engine, ChainWalk::after(start), keys, &mut walked).await?,
        Err(broken) => Err(broken),
    };
    let head = match found {
        Ok(head) => head,
        Err(broken) => return Ok(Verification::Broken(broken)),
    };
    Ok(match engine.first_stream_mismatch().await? {
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

/// The link from which on the chain is in the log.
async fn beginning(engine: &dyn Engine) -> Result<Head, EngineError> {
    let archives = engine.archives().await?;
    Ok(archives
        .last()
        .map_or_else(Head::default, |partition| Head {
            position: partition.partition.last(),
            hash: partition.last_hash,
        }))
}

/// Archived events that are kept in the log stand there without their neighbours: the links are the archive's to prove.
async fn verify_retained(
    engine: &dyn Engine,
    mut keys: Option<&mut KeyCheck<'_>>,
) -> Result<Result<(), ChainBreak>, EngineError> {
    let mut after = 0;
    loop {
        let events = match decode_or_break(engine.retained_events(after, PAGE).await)? {
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
    engine: &dyn Engine,
    mut chain: ChainWalk,
    mut keys: Option<&mut KeyCheck<'_>>,
    walked: &mut (impl FnMut(u64) + Send),
) -> Result<Result<Head, ChainBreak>, EngineError> {
    loop {
        let at = chain.head().position;
        let all = LogFilter::default();
        let page = match decode_or_break(engine.read_log(at, PAGE, &all).await)? {
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

/// What cannot be decoded is a finding, not a failure.
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
