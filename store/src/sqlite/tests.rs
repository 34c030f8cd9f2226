//! Tests of the SQLite engine only: triggers, files, query plans. The contract suite tests what both engines guarantee;
//! only guarantees that this implementation could break are tested here again.

mod append;
mod append_only;
mod files;
mod log_reads;
mod planned;
mod read_models;

use crate::engine::EventLog as _;
use std::collections::BTreeMap;

use roentgen_domain::ids::{EventId, StreamId, TenantId};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use uuid::Uuid;

use super::Sqlite;
use crate::clock;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log::{
    Append, AppendBatch, BatchOutcome, ExpectedVersion, HeldReservation, NewEvent, PreparedAppend,
    Reservation, ReservationKey,
};

/// Engine in a temporary directory.
struct SqliteFixture {
    engine: Sqlite,
    directory: TempDir,
}

impl SqliteFixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(&directory.path().join("roentgen.db"))
            .await
            .unwrap();
        engine.migrate().await.unwrap();
        Self { engine, directory }
    }

    async fn send(&self, appends: &[Append]) -> BatchOutcome {
        self.try_send(appends, false).await.unwrap()
    }

    async fn send_again(&self, appends: &[Append]) -> BatchOutcome {
        self.try_send(appends, true).await.unwrap()
    }

    async fn try_send(
        &self,
        appends: &[Append],
        resend: bool,
    ) -> Result<BatchOutcome, EngineError> {
        let prepared: Vec<PreparedAppend> = appends.iter().map(prepared).collect();
        self.engine
            .append(&AppendBatch {
                appends: prepared.iter().collect(),
                resend,
            })
            .await
    }

    /// Runs SQL on the log, bypassing the engine.
    async fn tamper(&self, sql: &str) -> Result<(), String> {
        let mut writing = self.engine.log.write().await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut *writing)
            .await;
        done.map(drop).map_err(|error| error.to_string())
    }

    async fn head(&self) -> u64 {
        self.engine.head().await.unwrap().position
    }
}

fn tenant() -> TenantId {
    Uuid::from_u128(0x7e4a47).into()
}

fn stream(n: u128) -> StreamId {
    Uuid::from_u128(0x5000 + n).into()
}

fn event(stream_id: StreamId, version: u64) -> NewEvent {
    NewEvent {
        event_id: EventId::from(clock::fresh_id()),
        tenant_id: tenant(),
        stream_type: "ImagingOrder",
        stream_id,
        version,
        event_type: "ImagingOrder.Created",
        schema_version: 1,
        payload: format!("{{\"order_id\": \"{stream_id}\"}}"),
        sealed: vec![1, 2, 3],
        metadata: "{}".to_owned(),
    }
}

/// Returns an append of one event to each stream, at the version after the given one.
fn writing(streams: &[(StreamId, u64)]) -> Append {
    let checks = streams
        .iter()
        .map(|(stream_id, expected)| check(*stream_id, *expected));
    let events = streams
        .iter()
        .map(|(stream_id, expected)| event(*stream_id, expected + 1));
    Append {
        checks: checks.collect(),
        events: events.collect(),
        ..Append::default()
    }
}

/// Returns an append of `events` events to a new stream.
fn creating(stream_id: StreamId, events: u64) -> Append {
    Append {
        checks: vec![check(stream_id, 0)],
        events: (1..=events)
            .map(|version| event(stream_id, version))
            .collect(),
        ..Append::default()
    }
}

fn check(stream_id: StreamId, expected: u64) -> ExpectedVersion {
    ExpectedVersion {
        stream_id,
        expected,
    }
}

fn claim(n: u8, expires_at_ms: i64) -> Reservation {
    let held = HeldReservation {
        request_hash: [n; 32],
        stream_id: stream(u128::from(n)),
        version: 1,
        expires_at_ms,
    };
    Reservation {
        key: ReservationKey([n; 32]),
        held,
    }
}

fn in_an_hour() -> i64 {
    clock::now_ms() + 3_600_000
}

fn prepared(append: &Append) -> PreparedAppend {
    let leaves = append.events.iter().map(NewEvent::leaf);
    PreparedAppend {
        leaves: leaves.collect(),
        append: append.clone(),
    }
}

/// Counts the occurrences of each value.
fn tally<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    items
        .into_iter()
        .fold(BTreeMap::new(), |mut counts, value| {
            *counts.entry(value).or_default() += 1;
            counts
        })
}
