//! Why the relay stands still: what it found is not what it left, and publishing on would leave a hole, repeat events,
//! or mix them with somebody else's.

use roentgen_store::projector::CheckpointAhead;

/// A named problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// The relay's checkpoint does not fit the log.
    #[error(transparent)]
    LogRestored(#[from] CheckpointAhead),
    /// The stream's last message is an event that the log does not have.
    #[error(
        "stream's last message is position {position}, which is not in the log: \
         the log was restored to an earlier point or is a different log"
    )]
    StreamAhead {
        /// The position that the message names.
        position: u64,
    },
    /// The stream is not there any more.
    #[error("stream was deleted; it held events up to position {position}")]
    StreamGone {
        /// The last position that was acknowledged.
        position: u64,
    },
    /// A stream of the same name was created after the one that events were published to.
    #[error("stream was recreated; the original held events up to position {position}")]
    StreamRecreated {
        /// The last position that was acknowledged.
        position: u64,
    },
    /// The stream ends before what it acknowledged.
    #[error("stream was rolled back: sequence {acknowledged} was acknowledged, last is {last}")]
    StreamWentBack {
        /// The last sequence that was acknowledged.
        acknowledged: u64,
        /// Where the stream ends now.
        last: u64,
    },
    /// Messages are missing that no limit of the stream took away.
    #[error(
        "stream was purged: {missing} messages after sequence {first_known} are missing and no retention limit \
         explains it"
    )]
    StreamPurged {
        /// Where it began.
        first_known: u64,
        /// How many messages are missing.
        missing: u64,
    },
    /// The message that would say how far the stream is was taken away before this relay saw it.
    #[error(
        "last message (sequence {last}) was removed; the published position cannot be determined"
    )]
    StreamEmptied {
        /// The last sequence.
        last: u64,
    },
    /// Somebody else wrote to the stream.
    #[error("stream contains a foreign message at or before sequence {sequence}")]
    ForeignMessage {
        /// The sequence that was looked at.
        sequence: u64,
    },
    /// The stream cannot be what it has to be.
    #[error("stream configuration is unsuitable: {reason}")]
    StreamUnfit {
        /// In which way; the server's words where it refused a change.
        reason: String,
    },
}

impl HaltReason {
    /// Every name, for the metric that says which problem there is.
    pub const NAMES: [&'static str; 9] = [
        "log_restored",
        "stream_ahead",
        "stream_gone",
        "stream_recreated",
        "stream_went_back",
        "stream_purged",
        "stream_emptied",
        "foreign_message",
        "stream_unfit",
    ];

    /// The problem's name, in logs, metrics and readiness.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LogRestored(_) => "log_restored",
            Self::StreamAhead { .. } => "stream_ahead",
            Self::StreamGone { .. } => "stream_gone",
            Self::StreamRecreated { .. } => "stream_recreated",
            Self::StreamWentBack { .. } => "stream_went_back",
            Self::StreamPurged { .. } => "stream_purged",
            Self::StreamEmptied { .. } => "stream_emptied",
            Self::ForeignMessage { .. } => "foreign_message",
            Self::StreamUnfit { .. } => "stream_unfit",
        }
    }
}
