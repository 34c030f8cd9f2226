//! Positions have no gaps and are in commit order, whatever other transactions are open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use roentgen_store::engine::Engine;
use roentgen_store::log::{LogFilter, MAX_EVENT_BYTES, MAX_PAGE_BYTES};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::builders::{stream, to};
use crate::harness::{ContractDatabase, ContractNode, DbFile, EngineKind, verified_log};

on_both_engines!(
    heavy_nothing_is_missed_or_seen_twice_beside_an_open_transaction,
    a_page_of_heavy_events_ends_early_and_says_where,
);
on_postgres_only!(partitions_appear_under_load_beside_an_open_transaction);

/// Regardless of the requested number of events, a page is limited in bytes, except for its first event.
async fn a_page_of_heavy_events_ends_early_and_says_where(bed: &ContractDatabase) {
    let node = bed.node().await;
    let weight = MAX_EVENT_BYTES / 2;
    let events = 3 * MAX_PAGE_BYTES / 2 / weight;
    for _ in 0..events {
        let mut heavy = to(stream(), 0, 1);
        for event in &mut heavy.events {
            event.payload = format!("\"{}\"", "x".repeat(weight));
        }
        node.append(heavy).await.unwrap();
    }
    let mut after = 0;
    let mut sizes = Vec::new();
    while after < events as u64 {
        let page = node
            .engine
            .read_log(after, 5000, &LogFilter::default())
            .await;
        let page = page.unwrap();
        assert_eq!(
            page.events.first().map(|event| event.position),
            Some(after + 1)
        );
        assert_eq!(
            page.events.last().map(|event| event.position),
            Some(page.scanned_to)
        );
        sizes.push(page.events.len());
        after = page.scanned_to;
    }
    let full = MAX_PAGE_BYTES.div_ceil(weight);
    assert!(sizes.len() == 2 && sizes[0] <= full, "{sizes:?}");
}

/// Transaction that has read the log and stays open until its view is checked.
enum Snapshot {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

const COUNT: &str = "SELECT count(*) FROM events";

impl Snapshot {
    async fn open(bed: &ContractDatabase) -> Self {
        let mut snapshot = match bed.kind {
            EngineKind::Sqlite => Self::Sqlite(bed.shell(DbFile::Log).await),
            EngineKind::Postgres => Self::Postgres(bed.owner().await),
        };
        match &mut snapshot {
            Self::Sqlite(connection) => sqlx::raw_sql("BEGIN").execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
                .execute(connection)
                .await
                .map(drop),
        }
        .unwrap();
        snapshot.count().await;
        snapshot
    }

    async fn count(&mut self) -> i64 {
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(COUNT).fetch_one(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(COUNT).fetch_one(connection).await,
        }
        .unwrap()
    }

    async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
        .unwrap();
    }
}

/// Latency of each append, in the order of completion.
struct Latencies(Vec<(Instant, Duration)>);

impl Latencies {
    fn medians_of_first_and_last_fifth(mut self) -> (Duration, Duration) {
        self.0.sort_by_key(|pair| pair.0);
        let fifth = self.0.len() / 5;
        let median = |part: &[(Instant, Duration)]| {
            let mut took: Vec<Duration> = part.iter().map(|part| part.1).collect();
            took.sort();
            took[took.len() / 2]
        };
        let last = self.0.len() - fifth;
        (median(&self.0[..fifth]), median(&self.0[last..]))
    }
}

/// Runs `writers` writers per node, each with `appends` appends of one to three events to a separate stream.
async fn load(nodes: &[Arc<ContractNode>], writers: u64, appends: u64) -> Latencies {
    let mut running = JoinSet::new();
    for node in nodes {
        for n in 0..writers {
            let node = Arc::clone(node);
            running.spawn(async move {
                let own = stream();
                let mut at = 0;
                let mut took = Vec::new();
                for round in 0..appends {
                    let count = (n + round) % 3 + 1;
                    let began = Instant::now();
                    node.append(to(own, at, count)).await.unwrap();
                    took.push((Instant::now(), began.elapsed()));
                    at += count;
                }
                took
            });
        }
    }
    Latencies(running.join_all().await.into_iter().flatten().collect())
}

/// Reads the log in pages from its start until the writers are done and everything was read.
async fn follow(engine: Arc<dyn Engine>, done: CancellationToken) -> u64 {
    let mut seen = 0;
    let mut time = i64::MIN;
    let mut ids = HashSet::new();
    loop {
        let last = done.is_cancelled();
        let page = engine
            .read_log(seen, 97, &LogFilter::default())
            .await
            .unwrap();
        for event in &page.events {
            assert_eq!(
                event.position,
                seen + 1,
                "an event was missed or seen twice"
            );
            assert!(
                event.recorded_at_ms >= time,
                "time goes back at {}",
                event.position
            );
            assert!(ids.insert(event.event_id), "an event stands twice");
            (seen, time) = (event.position, event.recorded_at_ms);
        }
        assert_eq!(page.scanned_to, seen);
        if page.events.is_empty() {
            if last {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Runs 32 writers on each of two nodes. The open transaction bloats a head row and stalls designs that order by
/// transaction ids.
///
/// The latency of appends is printed, and limited by a bound that only an unbounded drift would break (dead versions of
/// a head row, a plan made on an empty table): the machine is shared and the build is a debug build, so performance
/// figures belong in `benches/`.
async fn heavy_nothing_is_missed_or_seen_twice_beside_an_open_transaction(bed: &ContractDatabase) {
    let nodes = [Arc::new(bed.node().await), Arc::new(bed.node().await)];
    nodes[0].append(to(stream(), 0, 1)).await.unwrap();
    let mut snapshot = Snapshot::open(bed).await;
    let done = CancellationToken::new();
    let reader = bed.connect().await;
    let writing = async {
        let latencies = load(&nodes, 32, 40).await;
        done.cancel();
        latencies
    };
    let (latencies, seen) = tokio::join!(writing, follow(Arc::clone(&reader), done.clone()));
    assert_eq!(
        snapshot.count().await,
        1,
        "the transaction was to stay open for the whole run"
    );
    snapshot.close().await;
    assert_eq!(verified_log(&*reader).await.len() as u64, seen);

    let (first, last) = latencies.medians_of_first_and_last_fifth();
    println!(
        "{:?}: {seen} events, median append {first:?} at first, {last:?} at last",
        bed.kind
    );
    assert!(
        last < first * 5 + Duration::from_millis(100),
        "{first:?} became {last:?}"
    );
}

/// A batch may be larger than a partition, and both nodes create partitions concurrently.
async fn partitions_appear_under_load_beside_an_open_transaction(bed: &ContractDatabase) {
    let small = "INSERT INTO meta VALUES ('partition_size', convert_to('50', 'UTF8'))";
    bed.tamper(small).await;
    let nodes = [Arc::new(bed.node().await), Arc::new(bed.node().await)];
    nodes[0].append(to(stream(), 0, 1)).await.unwrap();
    let mut snapshot = Snapshot::open(bed).await;
    nodes[1].append(to(stream(), 0, 120)).await.unwrap();
    load(&nodes, 8, 20).await;
    assert_eq!(snapshot.count().await, 1);
    snapshot.close().await;

    let head = verified_log(&*nodes[0].engine).await.len();
    let parts =
        "SELECT past_position::text FROM log_partitions p ORDER BY p.past_position".to_owned();
    let past: Vec<usize> = bed
        .ask(DbFile::Log, parts)
        .await
        .iter()
        .map(|ask| ask.parse().unwrap())
        .collect();
    assert!(
        past.iter()
            .enumerate()
            .all(|(n, past)| *past == (n + 1) * 50),
        "{past:?}"
    );
    assert!(past.last().unwrap() > &(head + 25), "{past:?} at {head}");
    let plain = "SELECT count(*)::text FROM ONLY events_from_0".to_owned();
    assert_eq!(bed.ask(DbFile::Log, plain).await, ["49"]);
}
