//! Plain SQL on a table of three columns: what PostgreSQL itself achieves with such rows.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::database::Scratch;
use crate::measure::{self, Worker};
use crate::order::Created;

/// Measurement with one row per transaction.
pub const INSERT: &str = "raw-insert";
/// Measurement with 100 rows per transaction.
pub const UNNEST: &str = "raw-unnest-100";
/// Measurement that reads a whole table.
pub const COPY_OUT: &str = "copy-out";

const ROWS_A_STATEMENT: usize = 100;
const INSERT_ONE: &str = "insert into raw_events (id, payload) values ($1, $2::json)";
const INSERT_MANY: &str = "insert into raw_events (id, payload) \
    select id, payload::json from unnest($1::uuid[], $2::text[]) as row (id, payload)";

/// Measures one-row inserts, each in its own transaction, prepared once per connection.
pub async fn measure_insert(scratch: &Scratch, time: Duration) -> anyhow::Result<()> {
    for connections in [1, 8, 32, 64] {
        fresh_table(scratch).await?;
        let open = connect(scratch, connections).await?;
        let workers = open.into_iter().map(InsertOne).collect();
        measure::measure(INSERT, workers, time).await?;
    }
    Ok(())
}

/// Measures set-based inserts with 100 rows per statement.
pub async fn measure_unnest(scratch: &Scratch, time: Duration) -> anyhow::Result<()> {
    for connections in [1, 2, 4] {
        fresh_table(scratch).await?;
        let open = connect(scratch, connections).await?;
        let workers = open.into_iter().map(InsertMany).collect();
        measure::measure(UNNEST, workers, time).await?;
    }
    Ok(())
}

/// Measures full copies of a table of `rows` rows over one connection; one step is one copy.
pub async fn measure_copy_out(scratch: &Scratch, rows: u32, time: Duration) -> anyhow::Result<()> {
    let mut connection = scratch.connect().await?;
    fill_copied(&mut connection, rows).await?;
    measure::measure(COPY_OUT, vec![CopyOut(connection)], time).await
}

/// Creates an empty table for each measurement, so that none pays for the index of an earlier one.
async fn fresh_table(scratch: &Scratch) -> anyhow::Result<()> {
    scratch.run("drop table if exists raw_events").await?;
    scratch.run(include_str!("sql/raw.sql")).await
}

async fn connect(scratch: &Scratch, connections: usize) -> anyhow::Result<Vec<PgConnection>> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(scratch.connect().await?);
    }
    Ok(open)
}

async fn fill_copied(connection: &mut PgConnection, rows: u32) -> anyhow::Result<()> {
    let create = include_str!("sql/raw.sql").replace("raw_events", "copied_events");
    sqlx::raw_sql(&create).execute(&mut *connection).await?;
    sqlx::query(include_str!("sql/fill_copied.sql"))
        .bind(i64::from(rows))
        .bind(serde_json::to_string(&Created::fresh())?)
        .execute(&mut *connection)
        .await?;
    // Otherwise the first copy would write the hint bits of every row.
    sqlx::raw_sql("vacuum (analyze) copied_events")
        .execute(connection)
        .await?;
    Ok(())
}

struct InsertOne(PgConnection);

impl Worker for InsertOne {
    async fn step(&mut self) -> anyhow::Result<u64> {
        let order = Created::fresh();
        sqlx::query(INSERT_ONE)
            .bind(order.id())
            .bind(serde_json::to_string(&order)?)
            .execute(&mut self.0)
            .await?;
        Ok(1)
    }
}

struct InsertMany(PgConnection);

impl Worker for InsertMany {
    async fn step(&mut self) -> anyhow::Result<u64> {
        let (ids, payloads) = fresh_rows()?;
        let written = sqlx::query(INSERT_MANY)
            .bind(ids)
            .bind(payloads)
            .execute(&mut self.0)
            .await?;
        Ok(written.rows_affected())
    }
}

fn fresh_rows() -> serde_json::Result<(Vec<Uuid>, Vec<String>)> {
    let row = || {
        let order = Created::fresh();
        Ok((order.id(), serde_json::to_string(&order)?))
    };
    std::iter::repeat_with(row).take(ROWS_A_STATEMENT).collect()
}

struct CopyOut(PgConnection);

impl Worker for CopyOut {
    async fn step(&mut self) -> anyhow::Result<u64> {
        // The server sends one message per row, so the number of messages is the number of rows.
        self.0
            .copy_out_raw("copy copied_events to stdout")
            .await?
            .try_fold(0, async |rows, _| Ok(rows + 1))
            .await
            .map_err(Into::into)
    }
}
