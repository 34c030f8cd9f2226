//! Stores the generations of read models.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::Sqlite;
use super::error_class::classify;
use super::file::{File, begin, commit};
use super::read_models::DIALECT;
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, dynamic, int, run_all};
use crate::chain::GENESIS;
use crate::engine::GenerationStore;
use crate::error::EngineError;
use crate::generation::{Generation, GenerationState, NewGeneration, parse_tables};
use crate::read_model::{Checkpoint, Table};

const DECLARE: Insert<'static> = Insert {
    into: "generations",
    columns: "name, model, version, generation, tables, state, upto, position, hash, checked",
    on_conflict: "ON CONFLICT DO NOTHING",
};

const PROMOTE: &str =
    "UPDATE generations SET state = ?3, checked = ?4, reason = ?5 WHERE name = ?1 AND state = ?2";

const RIVALS: &str = "SELECT name, state, position FROM generations \
    WHERE model = ?1 AND version = ?2 AND state IN ('joining', 'live')";

#[async_trait]
impl GenerationStore for Sqlite {
    async fn generations(&self) -> Result<Vec<Generation>, EngineError> {
        let mut reading = self.read.read().await?;
        let rows = reading
            .fetch_all(sqlx::query("SELECT * FROM generations ORDER BY name"))
            .await?;
        rows.iter().map(decode).collect()
    }

    async fn create_generations(&self, generations: &[NewGeneration]) -> Result<(), EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let statements = DECLARE.statements(generations, |query, generation| {
            let names: Vec<String> = generation.tables.iter().map(|table| table.name()).collect();
            let first = generation.tables.first();
            query
                .bind(first.map(|table| table.name()))
                .bind(first.map(|table| table.model.name))
                .bind(first.map(|table| table.model.version))
                .bind(first.map(|table| table.generation))
                .bind(names.join(" "))
                .bind(generation.state.name())
                .bind(int(generation.state.upto()))
                .bind(0)
                .bind(GENESIS.to_vec())
                .bind(0)
        });
        run_all(&mut transaction, statements).await?;
        commit(transaction).await
    }

    async fn create_tables(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables.iter().map(|table| DIALECT.create_table(*table));
        define(&self.read, create.collect()).await
    }

    async fn create_indexes(&self, tables: &[Table]) -> Result<(), EngineError> {
        let create = tables
            .iter()
            .flat_map(|table| DIALECT.create_indexes(*table));
        define(&self.read, create.collect()).await
    }

    async fn advance_generation(
        &self,
        table: Table,
        from: &GenerationState,
        to: &GenerationState,
    ) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
        let promoted = sqlx::query(PROMOTE)
            .bind(table.name())
            .bind(from.name())
            .bind(to.name())
            .bind(int(to.checked()))
            .bind(to.reason())
            .execute(&mut *writing)
            .await
            .map_err(classify)?;
        Ok(promoted.rows_affected() == 1)
    }

    /// Swaps in a generation. Only one transaction writes at a time, so no checkpoint advances during the swap.
    async fn swap_live_generation(&self, table: Table) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let rivals = sqlx::query(RIVALS)
            .bind(table.model.name)
            .bind(table.model.version)
            .fetch_all(&mut *transaction)
            .await
            .map_err(classify)?;
        let mut joining = None;
        let mut live = None;
        for row in &rivals {
            let fields = SqliteRowReader::new(row);
            let name = fields.get::<String>("name")?;
            let position = fields.number::<u64>("position")?;
            match fields.get::<&str>("state")? {
                "live" => live = Some((name, position)),
                _ => joining = (name == table.name()).then_some(position),
            }
        }
        let is_ahead = joining >= live.as_ref().map(|live| live.1);
        if joining.is_none() || !is_ahead {
            return Ok(false);
        }
        if let Some((name, _)) = live {
            becomes(&mut transaction, name, &GenerationState::Retired).await?;
        }
        becomes(&mut transaction, table.name(), &GenerationState::Live).await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn drop_generation(&self, generation: &Generation) -> Result<bool, EngineError> {
        let mut writing = self.read.write().await?;
        let mut transaction = begin(&mut writing).await?;
        let forgotten = sqlx::query("DELETE FROM generations WHERE name = ?1 AND state = ?2")
            .bind(&generation.name)
            .bind(generation.state.name())
            .execute(&mut *transaction)
            .await
            .map_err(classify)?;
        if forgotten.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM parked WHERE model = ?1")
            .bind(&generation.name)
            .execute(&mut *transaction)
            .await
            .map_err(classify)?;
        let drops = generation.tables.iter();
        let drops = drops
            .map(|drop| dynamic(DIALECT.drop_table(drop)))
            .collect();
        run_all(&mut transaction, drops).await?;
        commit(transaction).await?;
        Ok(true)
    }
}

fn decode(row: &SqliteRow) -> Result<Generation, EngineError> {
    let fields = SqliteRowReader::new(row);
    let upto = fields.number("upto")?;
    let checked = fields.number("checked")?;
    Ok(Generation {
        name: fields.get("name")?,
        model: fields.get("model")?,
        version: fields.get("version")?,
        generation: fields.get("generation")?,
        tables: parse_tables(fields.get("tables")?)?,
        state: GenerationState::parse(fields.get("state")?, upto, checked, fields.get("reason")?)?,
        checkpoint: Checkpoint {
            position: fields.number("position")?,
            hash: fields.digest("hash")?,
        },
    })
}

/// Runs statements that create tables and indexes.
pub(super) async fn define(read: &File, statements: Vec<String>) -> Result<(), EngineError> {
    let mut writing = read.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let statements = statements.into_iter().map(dynamic).collect();
    run_all(&mut transaction, statements).await?;
    commit(transaction).await
}

async fn becomes(
    connection: &mut SqliteConnection,
    name: String,
    state: &GenerationState,
) -> Result<(), EngineError> {
    sqlx::query("UPDATE generations SET state = ?2 WHERE name = ?1")
        .bind(name)
        .bind(state.name())
        .execute(connection)
        .await
        .map(drop)
        .map_err(classify)
}
