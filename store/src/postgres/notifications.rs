//! Sends and receives notifications between nodes: `NOTIFY`, after the commit and outside its transaction.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;

use crate::engine::NotificationStream;
use crate::error::EngineError;

use super::{Postgres, error_class};

pub(super) const CHANNEL: &str = "roentgen_log";

/// Silence after which a connection is replaced: a network that has dropped the connection reports nothing.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Notifications of other nodes; this node's notifications are skipped.
pub(super) struct PgNotificationStream {
    node: String,
    listener: PgListener,
}

impl PgNotificationStream {
    pub(super) async fn start(engine: &Postgres) -> Result<Self, EngineError> {
        let pool = engine.connector.listen_pool();
        let listener = PgListener::connect_with(&pool).await;
        let mut listener = listener.map_err(EngineError::Unavailable)?;
        listener
            .listen(CHANNEL)
            .await
            .map_err(error_class::classify_read)?;
        let node = engine.node.to_string();
        Ok(Self { node, listener })
    }
}

#[async_trait]
impl NotificationStream for PgNotificationStream {
    async fn next(&mut self) -> Result<(), EngineError> {
        loop {
            let word = tokio::time::timeout(MAX_SILENCE, self.listener.try_recv()).await;
            let word = word.unwrap_or_else(|_elapsed| Err(error_class::timed_out()));
            match word.map_err(EngineError::Unavailable)? {
                Some(word) if word.payload() == self.node => {}
                // After a reconnect (`None`), notifications may have been missed.
                Some(_) | None => return Ok(()),
            }
        }
    }
}
