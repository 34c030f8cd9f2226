//! Time from a POST until its event arrives at a NATS subscriber, and the publishing rate of a backlog. The nats-server
//! is started for this run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures_util::StreamExt as _;
use roentgen_tests::Nats;
use roentgen_tests::nats::STREAM;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::catch_up::log_of_orders;
use crate::database::{BenchDatabase, flush_page_cache};
use crate::http_client::{Connection, Server, header};
use crate::post_order::{ORDERS, body, catalog};
use crate::report::{BenchReport, Measure, latencies};

const A_SECOND: u32 = 1_000;
const CONNECTIONS: u32 = 32;
/// Time limit for the last messages.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit for a backlog.
const LONG: Duration = Duration::from_secs(600);

/// Arrival time of each order's event.
type Arrivals = HashMap<String, Instant>;

/// Posted order.
struct Posted {
    order: String,
    due: Instant,
    answered: Instant,
}

pub(crate) async fn measure(report: &mut BenchReport, duration: Duration) -> anyhow::Result<()> {
    println!("relay: POST /imaging/orders over HTTP to a JetStream consumer, {A_SECOND} a second");
    let database = BenchDatabase::new().await?;
    let nats = Nats::start().await?;
    let server = Server::start_with(&database, &[("ROENTGEN_NATS", &nats.url())]).await?;
    let procedure = catalog(&server).await?;
    nats.holds(2, WAIT_TIMEOUT).await?;
    flush_page_cache().await?;
    let orders = u64::from(A_SECOND) * duration.as_secs();
    let receiving = received(nats.jetstream().await?, orders);
    let started = Instant::now();
    let posting = async {
        let posted = posted(&server, &procedure, orders).await?;
        Ok((posted, started.elapsed()))
    };
    let ((posted, took), arrived) = tokio::try_join!(posting, receiving)?;
    let mut answers = latencies();
    let mut each = latencies();
    for posted in &posted {
        let arrived = arrived
            .get(&posted.order)
            .context("an order did not arrive")?;
        answers.record(micros(posted.answered - posted.due)?)?;
        each.record(micros(*arrived - posted.due)?)?;
    }
    let name = "POST to its answer, with NATS".to_owned();
    report.add(&Measure::new(name, answers.len(), took, &answers));
    let measure = Measure::new("POST to subscriber".to_owned(), each.len(), took, &each);
    report.add(&measure);
    let slowest = Duration::from_micros(each.max());
    println!("{:<44} {slowest:>10.1?} at most", "");
    report.compare_with_budget(
        "15 ms / p99 from POST to subscriber",
        15.0,
        measure.p99.as_secs_f64() * 1000.0,
    );
    drop((server, nats));
    database.drop_it().await?;
    backlog(report).await
}

fn micros(duration: Duration) -> anyhow::Result<u64> {
    Ok(u64::try_from(duration.as_micros())?)
}

/// Measures the publishing rate of an existing log.
async fn backlog(report: &mut BenchReport) -> anyhow::Result<()> {
    let database = log_of_orders().await?;
    let nats = Nats::start().await?;
    let started = Instant::now();
    let server = Server::start_with(&database, &[("ROENTGEN_NATS", &nats.url())]).await?;
    // The stream also contains the events of the catalog.
    nats.holds(crate::catch_up::EVENTS, LONG).await?;
    let name = "relay of a backlog".to_owned();
    let took = started.elapsed();
    let measure = Measure::new(name, crate::catch_up::EVENTS, took, &latencies());
    report.add(&measure);
    drop(server);
    database.drop_it().await
}

/// Returns the arrival of each order's first event, once this number of orders has arrived.
async fn received(
    jetstream: async_nats::jetstream::Context,
    orders: u64,
) -> anyhow::Result<Arrivals> {
    let stream = jetstream.get_stream(STREAM).await?;
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    let mut arrived = Arrivals::new();
    while (arrived.len() as u64) < orders {
        let message = timeout(WAIT_TIMEOUT, messages.next()).await?;
        let message = message.context("the consumer ended")??;
        let now = Instant::now();
        let headers = message.headers.as_ref().context("no headers")?;
        let subject = headers.get("ce-subject").context("no subject")?.as_str();
        if let Some(order) = subject.strip_prefix("ImagingOrder/") {
            arrived.entry(order.to_owned()).or_insert(now);
        }
    }
    Ok(arrived)
}

/// Posts orders at a fixed rate and returns each with its due time.
async fn posted(server: &Server, procedure: &str, orders: u64) -> anyhow::Result<Vec<Posted>> {
    let token = Server::token(&["clinician"])?;
    let procedure: Arc<str> = procedure.into();
    let start = Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    for n in 0..CONNECTIONS {
        let connection = Connection::open(&server.address, &token).await?;
        let first = start + Duration::from_secs(1) / A_SECOND * n;
        let count = (u64::from(n)..orders).step_by(CONNECTIONS as usize).count();
        tasks.spawn(post(connection, Arc::clone(&procedure), first, count));
    }
    let mut posted = Vec::new();
    while let Some(done) = tasks.join_next().await {
        posted.extend(done??);
    }
    Ok(posted)
}

/// Posts at a fixed rate, regardless of earlier responses: a stall counts for every request that it delays.
async fn post(
    mut connection: Connection,
    procedure: Arc<str>,
    first: Instant,
    count: usize,
) -> anyhow::Result<Vec<Posted>> {
    let mut tick = interval_at(first, Duration::from_secs(1) / A_SECOND * CONNECTIONS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut posted = Vec::new();
    for _ in 0..count {
        let due = tick.tick().await;
        let answer = connection.post(ORDERS, &body(&procedure)).await?;
        let answered = Instant::now();
        ensure!(answer.status == 201, "{answer:?}");
        let location = header(&answer.head, "location").context("no location")?;
        let order = location.rsplit('/').next().context("no order")?;
        posted.push(Posted {
            order: order.to_owned(),
            due,
            answered,
        });
    }
    Ok(posted)
}
