//! Walking the chain: is the log what it was when it was written?

use crate::chain::{self, Digest, GENESIS};
use crate::engine::Engine;
use crate::error::{Damage, EngineError};
use crate::log::{Head, LogFilter, StoredEvent};

/// How many events are read at once.
const PAGE: u32 = 5000;

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Everything is as it was written, up to this head.
    Holds(Head),
    /// The log was tampered with, first here.
    Broken {
        /// The first position that was altered, removed, reordered or inserted.
        position: u64,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// Walks the log from its beginning; `walked` hears of each position reached.
pub async fn verify(
    engine: &dyn Engine,
    mut walked: impl FnMut(u64) + Send,
) -> Result<Verification, EngineError> {
    let mut head = Head {
        position: 0,
        hash: GENESIS,
    };
    loop {
        let page = match engine
            .page(head.position, PAGE, &LogFilter::default())
            .await
        {
            Ok(page) => page,
            Err(EngineError::Damaged(Damage::Column { position, .. })) => {
                return Ok(Verification::Broken {
                    position,
                    reason: "a column is out of form",
                });
            }
            Err(error) => return Err(error),
        };
        for event in &page.events {
            match follow(&head, event) {
                Ok(hash) => {
                    head = Head {
                        position: event.position,
                        hash,
                    }
                }
                Err((position, reason)) => return Ok(Verification::Broken { position, reason }),
            }
        }
        walked(head.position);
        if page.events.is_empty() && page.scanned_to <= head.position {
            break;
        }
        if page.events.is_empty() {
            let reason = "an event is missing";
            return Ok(Verification::Broken {
                position: head.position + 1,
                reason,
            });
        }
    }
    Ok(match engine.first_disagreement().await? {
        None => Verification::Holds(head),
        Some(position) => Verification::Broken {
            position,
            reason: "the streams' own counts say otherwise",
        },
    })
}

/// The link of `event` after `head`, where it is the one that was written there.
fn follow(head: &Head, event: &StoredEvent) -> Result<Digest, (u64, &'static str)> {
    let expected = head.position + 1;
    if event.position != expected {
        return Err((expected, "an event is missing"));
    }
    let leaf = event.computed_leaf();
    if leaf != event.leaf {
        return Err((expected, "the event is not what its leaf says"));
    }
    let hash = chain::link(&head.hash, expected, event.recorded_at_ms, &leaf);
    if hash != event.hash {
        return Err((expected, "the event does not follow from the one before"));
    }
    Ok(hash)
}
