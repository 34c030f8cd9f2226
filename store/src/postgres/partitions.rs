//! Creates partitions of the log long before they are needed, so that the append lock never waits for one.

use sqlx::{PgConnection, Row as _};

use super::error_class;
use super::row_reader::to_bigint;

const LAST: &str = "SELECT first_position, past_position FROM log_partitions \
                    ORDER BY past_position DESC LIMIT 1";

/// End of the partitions, as far as this node knows; other nodes create partitions too.
#[derive(Debug, Default)]
pub(super) struct PartitionMaintainer {
    /// First position for which no partition is known.
    pub(super) capacity: u64,
    /// Head from which the next partition is to be created.
    make_at: u64,
    /// Size of the last partition, in positions.
    size: u64,
}

impl PartitionMaintainer {
    /// Ensures that there is a next partition once the head has passed the middle of the last one. Errors do not fail
    /// the append. Returns `false` if the connection can no longer be used.
    pub(super) async fn ensure_next(
        &mut self,
        connection: &mut PgConnection,
        head: u64,
        capacity: u64,
    ) -> bool {
        if capacity == self.capacity && head < self.make_at {
            return true;
        }
        match self.extend(connection, head).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    event = "log.partition_pending",
                    %error,
                    head,
                    "cannot create the next log partition yet",
                );
                self.make_at = head + (self.size / 16).max(1);
                error_class::is_connection_usable(&error)
            }
        }
    }

    async fn extend(&mut self, connection: &mut PgConnection, head: u64) -> sqlx::Result<()> {
        self.look(connection).await?;
        if head >= self.make_at {
            sqlx::query("SELECT log_ensure_partitions($1)")
                .bind(to_bigint(self.capacity))
                .execute(&mut *connection)
                .await?;
            self.look(connection).await?;
        }
        Ok(())
    }

    async fn look(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let Some(last) = sqlx::query(LAST).fetch_optional(connection).await? else {
            return Ok(());
        };
        let first = last.try_get::<i64, _>(0)?.unsigned_abs();
        self.capacity = last.try_get::<i64, _>(1)?.unsigned_abs();
        self.size = self.capacity - first;
        self.make_at = first + self.size / 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
