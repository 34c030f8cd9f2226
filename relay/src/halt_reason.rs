//! Why the relay stands still: what it found is not what it left, and publishing on would leave a hole, repeat events, or
//! mix them with somebody else's.

use roentgen_store::projector::CheckpointAhead;

/// A named problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// The relay's checkpoint does not fit the log.
    #[error(transparent)]
    LogRestored(#[from] CheckpointAhead),
    /// The stream's last message is an event that the log does not have.
    #[error(
        "the stream's last message is position {position}, which the log does not have: \
         the log was restored to an earlier point or is another one"
    )]
    StreamAhead {
        /// The position that the message names.
        position: u64,
    },
    /// The stream is not there any more.
    #[error("the stream is gone: it held events up to position {position}")]
    StreamGone {
        /// The last position that was acknowledged.
        position: u64,
    },
    /// A stream of the same name was created after the one that events were published to.
    #[error("the stream was recreated: the one that held events up to position {position} is gone")]
    StreamRecreated {
        /// The last position that was acknowledged.
        position: u64,
    },
    /// The stream ends before what it acknowledged.
    #[error("the stream went back: it acknowledged sequence {acknowledged} and ends at {last}")]
    StreamWentBack {
        /// The last sequence that was acknowledged.
        acknowledged: u64,
        /// Where the stream ends now.
        last: u64,
    },
    /// Messages are missing that no limit of the stream took away.
    #[error(
        "the stream was purged: it began at sequence {first_known}, and no limit took away what is missing \
         ({missing} messages)"
    )]
    StreamPurged {
        /// Where it began.
        first_known: u64,
        /// How many messages are missing.
        missing: u64,
    },
    /// The message that would say how far the stream is was taken away before this relay saw it.
    #[error(
        "the stream's last message, sequence {last}, is gone, and with it how far the stream is"
    )]
    StreamEmptied {
        /// The last sequence.
        last: u64,
    },
    /// Somebody else wrote to the stream.
    #[error("the stream holds a message of somebody else, at sequence {sequence} or before")]
    ForeignMessage {
        /// The sequence that was looked at.
        sequence: u64,
    },
    /// The stream cannot be what it has to be.
    #[error("the stream cannot be used: {reason}")]
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
