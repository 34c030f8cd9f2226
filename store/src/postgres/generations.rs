//! Stores the generations of read models.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection};

use crate::chain::GENESIS;
use crate::engine::GenerationStore;
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState, NewGeneration, parse_tables};
use crate::read_model::{Checkpoint, Table};

use super::row_reader::{PgRowReader, to_bigint};
use super::{DIALECT, Postgres, composed, error_class};

const ALL: &str = "SELECT name, model, version, generation, tables, state, position, hash, upto, checked, \
    reason FROM read.generations ORDER BY name";

const DECLARE: &str = "INSERT INTO read.generations \
    (name, model, version, generation, tables, state, upto, position, hash) \
    SELECT it.*, 0, $8 FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::text[], $6::text[], \
    $7::bigint[]) AS it ON CONFLICT DO NOTHING";

const PROMOTE: &str = "UPDATE read.generations SET state = $3, checked = $4, reason = $5 \
    WHERE name = $1 AND state = $2";

/// Lock of the generations involved in a swap; a projector that wants to advance them waits.
const LOCK_GENERATIONS: &str = "SELECT name, state, position FROM read.generations \
    WHERE model = $1 AND version = $2 AND state IN ('joining', 'live') ORDER BY name FOR UPDATE";

const BECOMES: &str = "UPDATE read.generations SET state = $2 WHERE name = $1";

const FORGET: &str = "DELETE FROM read.generations WHERE name = $1 AND state = $2";

/// Lock for creating tables: with IF NOT EXISTS alone, two nodes that start concurrently collide in the catalog.
const CREATE_LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
    SELECT pg_advisory_xact_lock(hashtextextended('roentgen.models', 0))";

/// Tables that try to compress sealed data. Ciphertext cannot be compressed, and the attempt took a third of the
/// database's time with 60 KB of it per row. CREATE TABLE can set the storage only from PostgreSQL 16 on.
const COMPRESS_SEALED: &str = "SELECT attrelid::regclass::text \
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
    WHERE relnamespace = 'read'::regnamespace AND relkind = 'r' \
      AND attname = 'sealed' AND attstorage <> 'e' AND pg_has_role(relowner, 'USAGE')";

/// Lock timeout for changing a table. Reads of the table queue behind the ACCESS EXCLUSIVE lock, so the wait is short
/// and in a separate transaction.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '500ms'";

/// Lock for building indexes. Building one on a full table takes long, while other nodes may create tables. The sort is
/// in memory if possible.
const INDEX_LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
    SET LOCAL maintenance_work_mem = '256MB'; \
    SELECT pg_advisory_xact_lock(hashtextextended('roentgen.indexes', 0))";

#[async_trait]
impl GenerationStore for Postgres {
    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        self.fetch(sqlx::query(ALL), decode).await
    }

    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        let first = |generation: &NewGeneration| generation.tables.first().copied();
        let of = |string: fn(Table) -> String| {
            generations
                .iter()
                .filter_map(first)
                .map(string)
                .collect::<Vec<_>>()
        };
        let numbers = |table: fn(Table) -> u32| {
            generations
                .iter()
                .filter_map(first)
                .map(table)
                .map(u32::cast_signed)
        };
        let tables = generations.iter().map(|generation| {
            let names: Vec<String> = generation.tables.iter().map(|table| table.name()).collect();
            names.join(" ")
        });
        let statement = sqlx::query(DECLARE)
            .bind(of(|table| table.name()))
            .bind(of(|table| table.model.name.to_owned()))
            .bind(numbers(|table| table.model.version).collect::<Vec<_>>())
            .bind(numbers(|table| table.generation).collect::<Vec<_>>())
            .bind(tables.collect::<Vec<_>>())
            .bind(
                generations
                    .iter()
                    .map(|generation| generation.state.name())
                    .collect::<Vec<_>>(),
            )
            .bind(
                generations
                    .iter()
                    .map(|generation| to_bigint(generation.state.upto()))
                    .collect::<Vec<_>>(),
            )
            .bind(GENESIS.as_slice());
        self.execute(statement).await.map(drop)
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables.iter().map(|table| DIALECT.create_table(*table));
        let create: Vec<String> = create.collect();
        if !create.is_empty() {
            self.define(CREATE_LOCK, create).await?;
        }
        self.keep_sealed_as_it_is().await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables
            .iter()
            .flat_map(|table| DIALECT.create_indexes(*table));
        self.define(INDEX_LOCK, create.collect()).await
    }

    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError> {
        let statement = sqlx::query(PROMOTE)
            .bind(table.name())
            .bind(from.name())
            .bind(to.name())
            .bind(to_bigint(to.checked()))
            .bind(to.reason());
        Ok(self.execute(statement).await? == 1)
    }

    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError> {
        self.with_projector(async |connection| swap(connection, table).await)
            .await
    }

    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError> {
        let mut connection = self.reader().await?;
        let mut ddl = connection
            .begin()
            .await
            .map_err(error_class::classify_write)?;
        let forgotten = sqlx::query(FORGET)
            .bind(&generation.name)
            .bind(generation.state.name())
            .execute(&mut *ddl)
            .await
            .map_err(error_class::classify_write)?;
        if forgotten.rows_affected() == 0 {
            ddl.rollback().await.map_err(error_class::classify_write)?;
            return Ok(false);
        }
        sqlx::query("DELETE FROM read.parked WHERE model = $1")
            .bind(&generation.name)
            .execute(&mut *ddl)
            .await
            .map_err(error_class::classify_write)?;
        for name in &generation.tables {
            let drop = sqlx::raw_sql(composed(DIALECT.drop_table(name)));
            drop.execute(&mut *ddl)
                .await
                .map_err(error_class::classify_write)?;
        }
        ddl.commit().await.map_err(error_class::classify_write)?;
        Ok(true)
    }
}

impl Postgres {
    /// Disables compression of sealed data. Stored values stay as they are until they are written again. A table that a
    /// long read blocks is changed the next time.
    async fn keep_sealed_as_it_is(&self) -> Result<(), EngineError> {
        let name = |row: &PgRow| Ok(PgRowReader::new(row).text(0, "table")?.to_owned());
        for table in self.fetch(sqlx::query(COMPRESS_SEALED), name).await? {
            let keep = format!("ALTER TABLE {table} ALTER COLUMN sealed SET STORAGE EXTERNAL");
            match self.define(BRIEFLY, vec![keep]).await {
                Ok(()) | Err(EngineError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn define(
        &self,
        one_at_a_time: &'static str,
        statements: Vec<String>,
    ) -> Result<(), EngineError> {
        let mut connection = self.reader().await?;
        let mut ddl = connection
            .begin()
            .await
            .map_err(error_class::classify_write)?;
        sqlx::raw_sql(one_at_a_time)
            .execute(&mut *ddl)
            .await
            .map_err(error_class::classify_write)?;
        for statement in statements {
            let done = sqlx::raw_sql(composed(statement)).execute(&mut *ddl).await;
            done.map_err(error_class::classify_write)?;
        }
        ddl.commit().await.map_err(error_class::classify_write)
    }
}

async fn swap(connection: &mut PgConnection, table: Table) -> Result<bool, EngineError> {
    let mut transaction = connection
        .begin()
        .await
        .map_err(error_class::classify_read)?;
    let rivals = sqlx::query(LOCK_GENERATIONS)
        .bind(table.model.name)
        .bind(table.model.version.cast_signed())
        .fetch_all(&mut *transaction)
        .await
        .map_err(error_class::classify_read)?;
    let mut joining = None;
    let mut live = None;
    for row in &rivals {
        let columns = PgRowReader::new(row);
        let name = columns.text(0, "name")?.to_owned();
        let position = columns.count(2, "position")?;
        match columns.text(1, "state")? {
            "live" => live = Some((name, position)),
            _ => joining = (name == table.name()).then_some(position),
        }
    }
    let is_ahead = joining >= live.as_ref().map(|live| live.1);
    if joining.is_none() || !is_ahead {
        transaction
            .rollback()
            .await
            .map_err(error_class::classify_read)?;
        return Ok(false);
    }
    let retired = live.map(|(name, _)| (name, GenerationState::Retired));
    for (name, state) in retired
        .into_iter()
        .chain([(table.name(), GenerationState::Live)])
    {
        let becomes = sqlx::query(BECOMES).bind(name).bind(state.name());
        let done = becomes.execute(&mut *transaction).await;
        done.map_err(error_class::classify_read)?;
    }
    transaction
        .commit()
        .await
        .map_err(error_class::classify_write)?;
    Ok(true)
}

/// Decodes a generation in the order of [`ALL`].
fn decode(row: &PgRow) -> Result<Generation, EngineError> {
    let columns = PgRowReader::new(row);
    let reason = match columns.maybe_bytes(10, "reason")? {
        Some(_) => Some(columns.text(10, "reason")?.to_owned()),
        None => None,
    };
    Ok(Generation {
        name: columns.text(0, "name")?.to_owned(),
        model: columns.text(1, "model")?.to_owned(),
        version: columns.small_count(2, "version")?,
        generation: columns.small_count(3, "generation")?,
        tables: parse_tables(columns.text(4, "tables")?)?,
        state: GenerationState::parse(
            columns.text(5, "state")?,
            columns.count(8, "upto")?,
            columns.count(9, "checked")?,
            reason,
        )?,
        checkpoint: Checkpoint {
            position: columns.count(6, "position")?,
            hash: columns.digest(7, "hash")?,
        },
    })
}
