//! `POST /imaging/orders` over HTTP with tokens, each for a new patient. The baseline is a plain `INSERT` of one such
//! row per transaction.

use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;
use roentgen_store::clock;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::database::{BenchDatabase, flush_page_cache};
use crate::http_client::{Connection, Server};
use crate::report::{BenchReport, Measure, latencies};

pub(crate) const ORDERS: &str = "/imaging/orders";

pub(crate) async fn measure(report: &mut BenchReport, duration: Duration) -> anyhow::Result<()> {
    println!("post: POST /imaging/orders over HTTP, tokens and projections on, distinct patients");
    let database = BenchDatabase::new().await?;
    let server = Server::start(&database).await?;
    if let Some(bytes) = server.memory() {
        println!("{:<44} {:>10} MB resident, idle", "", bytes / 1_000_000);
    }
    let procedure = catalog(&server).await?;
    let mut at_32 = 0.0;
    for connections in [8, 32, 64] {
        let name = format!("POST order, {connections} connections");
        let measure = run(name, &server, &procedure, connections, duration, None).await?;
        report.add(&measure);
        if connections == 32 {
            at_32 = measure.per_second;
            report.compare_with_baseline(&measure.name, at_32, ("raw-insert", 32), 0.7);
        }
    }
    let half = at_32 / 2.0;
    let name = format!("POST order, at half of it ({half:.0}/s)");
    flush_page_cache().await?;
    let measure = run(name, &server, &procedure, 32, duration, Some(half)).await?;
    report.add(&measure);
    report.compare_with_budget(
        "10 ms / p99 at half of the maximum",
        10.0,
        measure.p99.as_secs_f64() * 1000.0,
    );
    if let Some(bytes) = server.memory() {
        println!("{:<44} {:>10} MB resident, after", "", bytes / 1_000_000);
    }
    drop(server);
    database.drop_it().await
}

pub(crate) async fn catalog(server: &Server) -> anyhow::Result<String> {
    let token = Server::token(&["admin"])?;
    let mut connection = Connection::open(&server.address, &token).await?;
    let id = |body: &[u8]| -> anyhow::Result<String> {
        let answer: Value = serde_json::from_slice(body)?;
        Ok(answer
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    };
    let modality = r#"{"code":"CT","name":"Computed tomography"}"#;
    let modality = connection.post("/imaging/modalities", modality).await?;
    ensure!(modality.status == 201, "{modality:?}");
    let procedure = format!(
        r#"{{"code":"CT_HEAD","name":"CT head","modality_id":"{}"}}"#,
        id(&modality.body)?
    );
    let procedure = connection.post("/imaging/procedures", &procedure).await?;
    ensure!(procedure.status == 201, "{procedure:?}");
    id(&procedure.body)
}

/// Sends requests as fast as possible, or at a given rate over all connections.
async fn run(
    name: String,
    server: &Server,
    procedure: &str,
    connections: usize,
    duration: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Measure> {
    let token = Server::token(&["clinician"])?;
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    let pace = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
    for _ in 0..connections {
        let connection = Connection::open(&server.address, &token).await?;
        tasks.spawn(send(
            connection,
            procedure.to_owned(),
            started + duration,
            pace,
        ));
    }
    let mut all = latencies();
    while let Some(each) = tasks.join_next().await {
        all.add(each??)?;
    }
    Ok(Measure::new(name, all.len(), started.elapsed(), &all))
}

/// At a given rate, latency counts from the time at which a request was due, so a stall counts for every request that
/// it delays.
async fn send(
    mut connection: Connection,
    procedure: String,
    deadline: Instant,
    pace: Option<Duration>,
) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = latencies();
    let mut tick = pace.map(tokio::time::interval);
    if let Some(tick) = tick.as_mut() {
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    while Instant::now() < deadline {
        let due = match tick.as_mut() {
            Some(tick) => tick.tick().await,
            None => Instant::now(),
        };
        let answer = connection.post(ORDERS, &body(&procedure)).await?;
        ensure!(answer.status == 201, "{answer:?}");
        latencies.record(u64::try_from(due.elapsed().as_micros())?)?;
    }
    Ok(latencies)
}

/// Returns the body of an order for a new patient.
pub(crate) fn body(procedure: &str) -> String {
    let patient = clock::fresh_id();
    let encounter = clock::fresh_id();
    format!(
        r#"{{"patient_id":"{patient}","encounter_id":"{encounter}","imaging_procedure_id":"{procedure}","ordering_practitioner_id":"00000000-0000-0000-0000-000000000002","priority":"urgent","indication":"sudden weakness of the right arm, rule out acute stroke","patient":{{"mrn":"MRN-0012345","family_name":"Example","given_name":"Anna"}}}}"#
    )
}
