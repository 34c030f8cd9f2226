//! Why a session of the publisher ended.

use std::error::Error;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use roentgen_store::error::EngineError;

use crate::halt_reason::HaltReason;

/// Reason why a session ended or could not start.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// This node is not the leader, or is stopping.
    NotLeading,
    /// Stream or checkpoint was advanced by another publisher, or by a late message of this one.
    Superseded,
    /// The connection was lost.
    ConnectionLost,
    /// NATS is temporarily unavailable.
    NatsUnavailable(Box<dyn Error + Send + Sync>),
    /// The database failed.
    Database(EngineError),
    /// The relay is halted.
    Halted(HaltReason),
}

impl From<EngineError> for SessionEnd {
    fn from(error: EngineError) -> Self {
        Self::Database(error)
    }
}

impl From<HaltReason> for SessionEnd {
    fn from(refused: HaltReason) -> Self {
        Self::Halted(refused)
    }
}

impl From<PublishError> for SessionEnd {
    fn from(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::WrongLastSequence
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::StreamNotFound => Self::Superseded,
            PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => Self::NatsUnavailable(error.into()),
        }
    }
}
