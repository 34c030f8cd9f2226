//! Sync of a study of 5,000 instances in one HTTP request.

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::database::BenchDatabase;
use crate::http_client::{Connection, Server};
use crate::report::{BenchReport, Measure, latencies};

const SERIES: u32 = 10;
const INSTANCES: u32 = 500;
const STUDIES: u32 = 20;
const BUDGET_MS: f64 = 300.0;

pub(crate) async fn measure(report: &mut BenchReport) -> anyhow::Result<()> {
    println!(
        "sync: POST /pacs/studies/sync with {} instances",
        SERIES * INSTANCES
    );
    let database = BenchDatabase::new().await?;
    let server = Server::start(&database).await?;
    let token = Server::token(&["admin"])?;
    let mut connection = Connection::open(&server.address, &token).await?;
    let pacs = json!({ "code": "MAIN", "name": "Main", "protocol": "DICOMWEB" }).to_string();
    let made = connection.post("/pacs/endpoints", &pacs).await?;
    ensure!(made.status == 201, "{}", made.head);
    let mut each = latencies();
    let started = Instant::now();
    for n in 0..STUDIES {
        let body = study(n).to_string();
        let began = Instant::now();
        let synced = connection.post("/pacs/studies/sync", &body).await?;
        ensure!(synced.status == 201, "{}", synced.head);
        each.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    let measure = Measure::new(
        "sync".to_owned(),
        u64::from(STUDIES),
        started.elapsed(),
        &each,
    );
    report.add(&measure);
    let p99 = measure.p99.as_secs_f64() * 1000.0;
    report.compare_with_budget("300 ms / p99 of a sync of 5,000 instances", BUDGET_MS, p99);
    drop(server);
    database.drop_it().await
}

fn study(n: u32) -> Value {
    let uid = format!("1.2.826.0.1.3680043.10.1001.{n}");
    let instance = |series: u32, n: u32| json!({ "sop_instance_uid": format!("{uid}.{series}.{n}"), "instance_number": n });
    let series = (1..=SERIES).map(|series| {
        let instances: Vec<Value> = (1..=INSTANCES).map(|n| instance(series, n)).collect();
        json!({
            "series_instance_uid": format!("{uid}.{series}"), "series_number": series, "instances": instances,
        })
    });
    json!({
        "pacs_endpoint_code": "MAIN", "study_instance_uid": uid, "modality_code": "CT",
        "patient_id": uuid::Uuid::from_u128(u128::from(n) + 1), "series": series.collect::<Vec<_>>(),
    })
}
