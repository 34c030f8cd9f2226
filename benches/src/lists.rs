//! Every documented filter of the order list over many orders, including one without matches, and a page far into the
//! list.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roentgen_domain::Timestamp;
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::order::{Priority, Status};
use roentgen_projections::orders::{Filters, page};
use roentgen_store::clock;
use roentgen_store::read_model::ListQuery;
use tokio::time::Instant;

use crate::catch_up::fill;
use crate::database::{BenchDatabase, BenchNode, TENANT};
use crate::report::{BenchReport, Measure, latencies};

/// Number of rows per page.
pub(crate) const PAGE_SIZE: u32 = 50;
const TIMES: u32 = 200;
const BUDGET_MS: f64 = 5.0;

pub(crate) async fn measure(report: &mut BenchReport, orders: u64) -> anyhow::Result<()> {
    println!("lists: pages of {PAGE_SIZE} over {orders} orders, as the engine answers them");
    let database = BenchDatabase::new().await?;
    let node = Arc::new(BenchNode::start(&database).await?);
    fill(&node, orders).await?;
    let head = node.store.engine.head().await?.position;
    node.progress
        .wait_for(head, Instant::now() + Duration::from_secs(600))
        .await;
    let deep = deep_in(&node).await?;
    let of = |filters: &Filters, after| page(TENANT.into(), filters, after, PAGE_SIZE);
    for (name, filters) in filters()? {
        one(report, &node, &format!("orders, {name}"), || {
            of(&filters, None)
        })
        .await?;
    }
    let far = || of(&Filters::default(), Some(deep.clone()));
    one(report, &node, "orders, page 1,000", far).await?;
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    database.drop_it().await
}

fn filters() -> anyhow::Result<Vec<(&'static str, Filters)>> {
    let none = Filters::default;
    let hour_ago = Timestamp::from_millis(clock::now_ms() - 3_600_000).context("a time")?;
    Ok(vec![
        ("no filter", none()),
        (
            "patient, none",
            Filters {
                patient_id: Some(clock::fresh_id().into()),
                ..none()
            },
        ),
        (
            "encounter, none",
            Filters {
                encounter_id: Some(clock::fresh_id().into()),
                ..none()
            },
        ),
        (
            "accession number, status and priority, none",
            Filters {
                accession_number: Some(AccessionNumber::parse("NONE")?),
                status: Some(Status::Requested),
                priority: Some(Priority::Urgent),
                ..none()
            },
        ),
        (
            "status, all of them",
            Filters {
                status: Some(Status::Requested),
                ..none()
            },
        ),
        (
            "status, none",
            Filters {
                status: Some(Status::Completed),
                ..none()
            },
        ),
        (
            "priority, none",
            Filters {
                priority: Some(Priority::Stat),
                ..none()
            },
        ),
        (
            "to_date, none",
            Filters {
                to: Some(hour_ago),
                ..none()
            },
        ),
        (
            "from_date, all of them",
            Filters {
                from: Some(hour_ago),
                ..none()
            },
        ),
    ])
}

async fn deep_in(node: &BenchNode) -> anyhow::Result<Vec<u8>> {
    let mut after = None;
    for _ in 0..100 {
        let query = page(TENANT.into(), &Filters::default(), after, 500);
        let rows = node.store.engine.live_list(&query).await?;
        after = rows.last().map(|row| row.sort_key.clone());
    }
    after.context("the list is long enough")
}

/// Reads one page many times.
pub(crate) async fn one(
    report: &mut BenchReport,
    node: &BenchNode,
    name: &str,
    query: impl Fn() -> ListQuery,
) -> anyhow::Result<()> {
    let mut each = latencies();
    let started = Instant::now();
    for _ in 0..TIMES {
        let query = query();
        let began = Instant::now();
        node.store.engine.live_list(&query).await?;
        each.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    let name = format!("list, {name}");
    let measure = Measure::new(name, u64::from(TIMES), started.elapsed(), &each);
    report.add(&measure);
    let p99 = measure.p99.as_secs_f64() * 1000.0;
    report.compare_with_budget(&format!("5 ms / p99 of {}", measure.name), BUDGET_MS, p99);
    Ok(())
}
