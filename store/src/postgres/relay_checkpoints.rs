//! Stores relay checkpoints.

use super::Postgres;
use super::row_reader::{PgRowReader, to_bigint};
use crate::error::EngineError;
use crate::relay_checkpoint::RelayCheckpoint;

const OF: &str = "SELECT position, hash, stream_created, first_sequence, last_sequence \
    FROM relays WHERE name = $1";

const BEGIN: &str = "INSERT INTO relays (name, position, hash, stream_created, first_sequence, last_sequence) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";

const MOVE: &str = "UPDATE relays \
    SET position = $2, hash = $3, stream_created = $4, first_sequence = $5, last_sequence = $6 \
    WHERE name = $1 AND position = $7 AND hash = $8 AND stream_created = $9 AND last_sequence = $10";

impl Postgres {
    pub(super) async fn relay_of(
        &self,
        name: &str,
    ) -> Result<Option<RelayCheckpoint>, EngineError> {
        let found = self.fetch(sqlx::query(OF).bind(name), |row| {
            let columns = PgRowReader::new(row);
            Ok(RelayCheckpoint {
                position: columns.count(0, "position")?,
                hash: columns.digest(1, "hash")?,
                stream_created_ns: columns.bigint(2, "stream_created")?,
                first_sequence: columns.count(3, "first_sequence")?,
                last_sequence: columns.count(4, "last_sequence")?,
            })
        });
        Ok(found.await?.pop())
    }

    pub(super) async fn move_relay(
        &self,
        name: &str,
        from: Option<&RelayCheckpoint>,
        to: &RelayCheckpoint,
    ) -> Result<bool, EngineError> {
        let mut statement = sqlx::query(from.map_or(BEGIN, |_| MOVE))
            .bind(name)
            .bind(to_bigint(to.position))
            .bind(to.hash.as_slice())
            .bind(to.stream_created_ns)
            .bind(to_bigint(to.first_sequence))
            .bind(to_bigint(to.last_sequence));
        if let Some(from) = from {
            statement = statement
                .bind(to_bigint(from.position))
                .bind(from.hash.as_slice())
                .bind(from.stream_created_ns)
                .bind(to_bigint(from.last_sequence));
        }
        Ok(self.execute(statement).await? == 1)
    }
}
