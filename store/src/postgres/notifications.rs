//! What nodes tell each other: `NOTIFY`, after the commit and outside of it.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;

use crate::error::EngineError;
use crate::notify::NotificationStream;

use super::{Postgres, error_class};

const CHANNEL: &str = "roentgen_log";

/// A connection that was silent for as long is made anew: a network that has forgotten it tells nobody.
const MAX_SILENCE: Duration = Duration::from_secs(30);

impl Postgres {
    pub(super) async fn notify_appended(&self) -> Result<(), EngineError> {
        let word = sqlx::query("SELECT pg_notify($1, $2)");
        let word = word.bind(CHANNEL).bind(self.node.to_string());
        self.fetch(word, |_| Ok(())).await.map(drop)
    }

    pub(super) async fn listener(&self) -> Result<PgNotificationStream, EngineError> {
        let doors = self.doors.listen_pool();
        let listener = PgListener::connect_with(&doors).await;
        let mut listener = listener.map_err(EngineError::Unavailable)?;
        listener
            .listen(CHANNEL)
            .await
            .map_err(error_class::classify_read)?;
        let node = self.node.to_string();
        Ok(PgNotificationStream { node, listener })
    }
}

/// A connection that hears what nodes say, and leaves out this one's own words.
pub(super) struct PgNotificationStream {
    node: String,
    listener: PgListener,
}

#[async_trait]
impl NotificationStream for PgNotificationStream {
    async fn next(&mut self) -> Result<(), EngineError> {
        loop {
            let word = tokio::time::timeout(MAX_SILENCE, self.listener.try_recv()).await;
            let word = word.unwrap_or_else(|_elapsed| Err(error_class::timed_out()));
            match word.map_err(EngineError::Unavailable)? {
                Some(word) if word.payload() == self.node => {}
                // Where the connection was lost and is there again, something may have been said meanwhile.
                Some(_) | None => return Ok(()),
            }
        }
    }
}
