//! Reasons to halt the relay: the stream or the log is not in the state that the relay left, so that publishing would
//! leave a gap, repeat events, or mix them with foreign messages.

use roentgen_store::checkpoint::CheckpointAhead;

/// Condition that halts the relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// The checkpoint of the relay is ahead of the log.
    #[error(transparent)]
    LogRestored(#[from] CheckpointAhead),
    /// The last message of the stream is an event that is not in the log.
    #[error(
        "stream's last message is position {position}, which is not in the log: \
         the log was restored to an earlier point or is a different log"
    )]
    StreamAhead {
        /// Position in the message.
        position: u64,
    },
    /// The stream was deleted.
    #[error("stream was deleted; it held events up to position {position}")]
    StreamGone {
        /// Last acknowledged position.
        position: u64,
    },
    /// The stream was deleted, and a new one was created with the same name.
    #[error("stream was recreated; the original held events up to position {position}")]
    StreamRecreated {
        /// Last acknowledged position.
        position: u64,
    },
    /// The stream ends before the last acknowledged sequence.
    #[error("stream was rolled back: sequence {acknowledged} was acknowledged, last is {last}")]
    StreamWentBack {
        /// Last acknowledged sequence.
        acknowledged: u64,
        /// Current last sequence of the stream.
        last: u64,
    },
    /// Messages are missing that no limit of the stream has removed.
    #[error(
        "stream was purged: {missing} messages after sequence {first_known} are missing and no retention limit \
         explains it"
    )]
    StreamPurged {
        /// First sequence that the stream had.
        first_known: u64,
        /// Number of missing messages.
        missing: u64,
    },
    /// The last message, which shows the published position, was removed before the relay read it.
    #[error(
        "last message (sequence {last}) was removed; the published position cannot be determined"
    )]
    StreamEmptied {
        /// Last sequence of the stream.
        last: u64,
    },
    /// The stream contains a message of another publisher.
    #[error("stream contains a foreign message at or before sequence {sequence}")]
    ForeignMessage {
        /// Sequence at which the message was detected.
        sequence: u64,
    },
    /// The configuration of the stream is unsuitable.
    #[error("stream configuration is unsuitable: {reason}")]
    StreamUnfit {
        /// Description, or the server's error message if it rejected a change.
        reason: String,
    },
}

impl HaltReason {
    /// Names of all reasons, for the metric label.
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

    /// Returns the name of the reason in logs, metrics and readiness.
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
