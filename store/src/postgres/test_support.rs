//! Creates one database per test on a real server.

use crate::engine::EventLog as _;
use std::ops::Deref;

use roentgen_domain::ids::{EventId, StreamId, TenantId};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{Postgres, composed};
use crate::clock::fresh_id;
use crate::engine::Engine as _;
use crate::error::EngineError;
use crate::log::{
    Append, AppendBatch, AppendOutcome, BatchOutcome, ExpectedVersion, NewEvent, PreparedAppend,
};

pub(super) const TENANT: Uuid = Uuid::from_u128(7);

/// Migrated database; dropped with this value.
pub(super) struct PostgresFixture {
    engine: Postgres,
    name: String,
    server: String,
}

impl Deref for PostgresFixture {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.engine
    }
}

impl Drop for PostgresFixture {
    fn drop(&mut self) {
        let server = self.server.clone();
        let name = self.name.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                run(&mut connect(&server).await, &drop).await.unwrap();
            });
        });
        dropping.join().unwrap();
    }
}

impl PostgresFixture {
    pub(super) async fn create() -> Self {
        let database = Self::unbound().await;
        let bound = "INSERT INTO meta VALUES ('master_key_fingerprint', '\\x01')";
        run(&mut database.owner().await, bound).await.unwrap();
        database
    }

    /// Creates one with the schema that no master key has opened yet.
    pub(super) async fn unbound() -> Self {
        let database = Self::empty().await;
        database.migrate().await.unwrap();
        database
    }

    /// Creates a database without the schema.
    pub(super) async fn empty() -> Self {
        let server = std::env::var("ROENTGEN_TEST_POSTGRES")
            .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/postgres".to_owned());
        let name = format!("roentgen_test_{}", fresh_id().simple());
        run(
            &mut connect(&server).await,
            &format!("CREATE DATABASE {name}"),
        )
        .await
        .unwrap();
        let engine = Postgres::connect(&url(&server, &name)).unwrap();
        Self {
            engine,
            name,
            server,
        }
    }

    /// Creates a database with partitions of `size` positions.
    pub(super) async fn with_partitions_of(size: u32) -> Self {
        let database = Self::create().await;
        let owner = &mut database.owner().await;
        let size =
            format!("INSERT INTO meta VALUES ('partition_size', convert_to('{size}', 'UTF8'))");
        run(owner, &size).await.unwrap();
        database
    }

    pub(super) fn url(&self) -> String {
        url(&self.server, &self.name)
    }

    /// Opens a connection of the owner, bypassing the engine.
    pub(super) async fn owner(&self) -> PgConnection {
        connect(&self.url()).await
    }

    /// Opens a connection with the server's rights.
    pub(super) async fn server(&self) -> PgConnection {
        self.connector.connect().await.unwrap()
    }

    pub(super) async fn write(&self, appends: &[PreparedAppend]) -> BatchOutcome {
        self.send(appends, false).await.unwrap()
    }

    pub(super) async fn send(
        &self,
        appends: &[PreparedAppend],
        resend: bool,
    ) -> Result<BatchOutcome, EngineError> {
        self.append(&AppendBatch {
            appends: appends.iter().collect(),
            resend,
        })
        .await
    }

    /// Appends one event to each of `count` new streams.
    pub(super) async fn fill(&self, count: usize) -> Vec<StreamId> {
        let appends: Vec<_> = (0..count).map(|_| to(stream(), 0, 1)).collect();
        let outcome = self.write(&appends).await;
        assert!(
            outcome
                .verdicts
                .iter()
                .all(|outcome| *outcome == AppendOutcome::Written),
            "{outcome:?}"
        );
        appends
            .iter()
            .map(|append| append.append.checks[0].stream_id)
            .collect()
    }
}

fn url(server: &str, name: &str) -> String {
    let (host, _) = server.rsplit_once('/').unwrap();
    format!("{host}/{name}")
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url)
        .await
        .expect("tests need a PostgreSQL server")
}

pub(super) async fn run(connection: &mut PgConnection, sql: &str) -> sqlx::Result<u64> {
    let done = sqlx::raw_sql(composed(sql.to_owned()))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Returns the statement's first column as text, one line per row.
pub(super) async fn ask(connection: &mut PgConnection, sql: &str) -> String {
    let rows: Vec<(Option<String>,)> = sqlx::query_as(composed(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.into_iter()
        .map(|row| row.0.unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

pub(super) async fn sqlstate_of(connection: &mut PgConnection, sql: &str) -> String {
    let error = run(connection, sql).await.unwrap_err();
    error
        .as_database_error()
        .unwrap()
        .code()
        .unwrap()
        .into_owned()
}

pub(super) fn stream() -> StreamId {
    fresh_id().into()
}

pub(super) fn event(stream_id: StreamId, version: u64) -> NewEvent {
    NewEvent {
        event_id: EventId::from(fresh_id()),
        tenant_id: TenantId::from(TENANT),
        stream_type: "ImagingOrder",
        stream_id,
        version,
        event_type: "ImagingOrder.Created",
        schema_version: 1,
        payload: format!(r#"{{ "version":{version}, "b": 1, "a": "ü" }}"#),
        sealed: vec![1, 2, 3],
        metadata: r#"{"actor":{"sub":"system"}}"#.to_owned(),
    }
}

/// Returns an append of `count` events to a stream at version `expected`.
pub(super) fn to(stream_id: StreamId, expected: u64, count: u64) -> PreparedAppend {
    let events = (1..=count)
        .map(|n| event(stream_id, expected + n))
        .collect();
    prepare(Append {
        checks: vec![ExpectedVersion {
            stream_id,
            expected,
        }],
        events,
        ..Append::default()
    })
}

pub(super) fn prepare(append: Append) -> PreparedAppend {
    let leaves = append.events.iter().map(NewEvent::leaf).collect();
    PreparedAppend { append, leaves }
}
