//! Checks that the stream is the one that the relay published to, and finds the position to resume from.

use roentgen_store::chain::{Digest, GENESIS};
use roentgen_store::relay_checkpoint::RelayCheckpoint;

use crate::halt_reason::HaltReason;

/// State of the stream as NATS reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamSnapshot {
    pub(crate) created_ns: i64,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
    pub(crate) messages: u64,
    /// Whether the stream has a limit (age, bytes, messages) that removes messages.
    pub(crate) limited: bool,
}

/// Last message of the stream, compared with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastMessage {
    /// The message was removed.
    Deleted,
    /// The message is not an event of this system.
    Foreign,
    /// The message names a position at which the log has no event or another event.
    UnknownPosition { position: u64 },
    /// The message is the event at this position.
    Event { position: u64, hash: Digest },
}

/// Checks that the stream is the one that the checkpoint describes. Later messages are not checked.
pub(crate) fn check_continuity(
    left: &RelayCheckpoint,
    seen: &StreamSnapshot,
) -> Result<(), HaltReason> {
    if seen.created_ns != left.stream_created_ns {
        let position = left.position;
        return Err(HaltReason::StreamRecreated { position });
    }
    if seen.last_sequence < left.last_sequence {
        return Err(HaltReason::StreamWentBack {
            acknowledged: left.last_sequence,
            last: seen.last_sequence,
        });
    }
    let there = (seen.last_sequence + 1).saturating_sub(left.first_sequence);
    match there.saturating_sub(seen.messages) {
        missing if missing > 0 && !seen.limited => Err(HaltReason::StreamPurged {
            first_known: left.first_sequence,
            missing,
        }),
        _ => Ok(()),
    }
}

/// Returns the checkpoint to resume from, or `None` if the last message of the stream is needed to find it.
pub(crate) fn resume_from_checkpoint(
    left: Option<&RelayCheckpoint>,
    seen: &StreamSnapshot,
) -> Option<RelayCheckpoint> {
    match left {
        Some(left) => (seen.last_sequence == left.last_sequence).then_some(*left),
        None => (seen.last_sequence == 0).then_some(RelayCheckpoint {
            position: 0,
            hash: GENESIS,
            stream_created_ns: seen.created_ns,
            first_sequence: 1,
            last_sequence: 0,
        }),
    }
}

/// Returns the checkpoint to resume from after the last message of the stream. Its events were published, but their
/// acknowledgements were not saved. Each position has one sequence, so that the number of new messages must equal the
/// number of new events.
pub(crate) fn resume_after_last_message(
    left: Option<&RelayCheckpoint>,
    seen: &StreamSnapshot,
    last: LastMessage,
) -> Result<RelayCheckpoint, HaltReason> {
    let sequence = seen.last_sequence;
    let (position, hash) = match last {
        LastMessage::Deleted => return Err(HaltReason::StreamEmptied { last: sequence }),
        LastMessage::Foreign => return Err(HaltReason::ForeignMessage { sequence }),
        LastMessage::UnknownPosition { position } => {
            return Err(HaltReason::StreamAhead { position });
        }
        LastMessage::Event { position, hash } => (position, hash),
    };
    let (left_position, left_sequence) =
        left.map_or((0, 0), |left| (left.position, left.last_sequence));
    let came = sequence.saturating_sub(left_sequence);
    if position.checked_sub(left_position) != Some(came) {
        return Err(HaltReason::ForeignMessage { sequence });
    }
    Ok(RelayCheckpoint {
        position,
        hash,
        stream_created_ns: seen.created_ns,
        first_sequence: left.map_or(seen.first_sequence, |checkpoint| checkpoint.first_sequence),
        last_sequence: sequence,
    })
}

#[cfg(test)]
mod tests;
