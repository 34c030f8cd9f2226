//! Takes a connection from a pool for one call.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool};
use tokio::time::error::Elapsed;

use crate::error::EngineError;

/// Pooled connection for one call. It returns to the pool if its call was answered. If the call was cancelled or timed
/// out, the connection is closed: the pool would first wait for the rest of the answer, without limit, and the slot
/// would be blocked.
#[derive(Debug)]
pub(super) struct PooledCall {
    connection: PoolConnection<sqlx::Postgres>,
    answered: bool,
}

impl PooledCall {
    pub(super) async fn acquire(pool: &PgPool) -> Result<Self, EngineError> {
        let connection = pool.acquire().await.map_err(EngineError::Unavailable)?;
        Ok(Self {
            connection,
            answered: false,
        })
    }

    /// Returns the answer, of any kind, and lets the connection return to the pool. Returns `None` if there was no
    /// answer.
    pub(super) fn complete<T>(mut self, answer: Result<T, Elapsed>) -> Option<T> {
        self.answered = answer.is_ok();
        answer.ok()
    }
}

impl Deref for PooledCall {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for PooledCall {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for PooledCall {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}
