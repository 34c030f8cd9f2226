//! A connection out of a pool, for one call.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool};
use tokio::time::error::Elapsed;

use crate::error::EngineError;

/// It goes back where its call was answered. Where the call was dropped in the middle, or not answered in time, it is
/// closed: the pool would wait for the rest of the answer first, for however long, and its place would be nobody's.
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

    /// Goes back where this is an answer, of whatever kind. `None` where it is none.
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
