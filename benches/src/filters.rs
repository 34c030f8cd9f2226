//! Every single, pair and triple of a list's documented filters, over many rows, before and after ANALYZE.

mod ai;
mod clinical;

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use roentgen_store::database;
use roentgen_store::engine::Engine;
use roentgen_store::generation::{GenerationState, NewGeneration};
use roentgen_store::read_model::{
    Checkpoint, ListQuery, ProjectionBatch, ReadModel, Row, Table, Value,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::{BenchDatabase, TENANT};
use crate::report::{BenchReport, Measure, latencies};

const PAGE_SIZE: u32 = 50;
/// Number of requests per page. A few slow responses determine the p99 then, and pauses of the machine cause as many
/// now and then: a page beyond the budget is requested [`TIMES_AGAIN`] times, and that measurement counts.
const TIMES: u32 = 200;
const TIMES_AGAIN: u32 = 2_000;
const BUDGET: Duration = Duration::from_millis(5);
/// Number of rows per transaction.
const CHUNK: u64 = 5_000;
/// Number of the slowest combinations that are printed.
const NAMED: usize = 3;
/// Length of a document with its sealed parts, in bytes.
const DOCUMENT_BYTES: usize = 700;

/// One documented filter: the values to try, each with its change of the list's filters.
type Choice<F> = Vec<(&'static str, fn(&mut F))>;

/// List: the rows of its read model and its filters.
struct List<F> {
    model: &'static ReadModel,
    sort_key: fn(u64) -> Vec<u8>,
    values: fn(u64) -> Vec<Value>,
    filters: Vec<Choice<F>>,
    page: fn(&F) -> ListQuery,
}

/// Measures each list on a separate database, on both engines.
pub(crate) async fn measure(report: &mut BenchReport, rows: u64) -> anyhow::Result<()> {
    lists_of(report, rows, &clinical::orders()).await?;
    lists_of(report, rows, &clinical::studies()).await?;
    lists_of(report, rows, &clinical::items()).await?;
    lists_of(report, rows, &clinical::reports()).await?;
    lists_of(report, rows, &ai::tasks()).await?;
    lists_of(report, rows, &ai::outputs()).await
}

async fn lists_of<F: Default>(
    report: &mut BenchReport,
    rows: u64,
    list: &List<F>,
) -> anyhow::Result<()> {
    let database = BenchDatabase::new().await?;
    let engine = filled(&database.url, list, rows).await?;
    pages(report, &*engine, list, "postgres, fresh").await?;
    let mut owner = PgConnection::connect(&database.url).await?;
    owner.execute(AssertSqlSafe("ANALYZE")).await?;
    owner.close().await?;
    // A connection caches its plans until the statistics change; new connections plan with the new statistics.
    engine.close().await;
    let engine = database::DatabaseUrl::parse(&database.url)?
        .connect()
        .await?;
    pages(report, &*engine, list, "postgres, analyzed").await?;
    engine.close().await;
    database.drop_it().await?;

    let directory = tempfile::tempdir()?;
    let url = format!("sqlite://{}", directory.path().join("lists.db").display());
    let engine = filled(&url, list, rows).await?;
    pages(report, &*engine, list, "sqlite").await?;
    engine.close().await;
    Ok(())
}

/// Creates the list's read model with its rows, and then its indexes.
async fn filled<F>(url: &str, list: &List<F>, rows: u64) -> anyhow::Result<Arc<dyn Engine>> {
    let engine = database::DatabaseUrl::parse(url)?.connect().await?;
    engine.migrate().await?;
    let table = Table {
        model: list.model,
        generation: 1,
    };
    engine.create_tables(&[table]).await?;
    let new = NewGeneration {
        tables: vec![table],
        state: GenerationState::Live,
    };
    engine.create_generations(&[new]).await?;
    let mut from = Checkpoint::START;
    for start in (0..rows).step_by(CHUNK as usize) {
        let to = Checkpoint {
            position: start + CHUNK,
            hash: [1; 32],
        };
        let batch = ProjectionBatch {
            from: vec![(table, from)],
            to,
            rows: vec![(
                table,
                (start..start + CHUNK).map(|n| row(list, n)).collect(),
            )],
            parked: Vec::new(),
            left_out: Vec::new(),
            filling: true,
        };
        anyhow::ensure!(
            engine.write_projection(&batch).await?,
            "the checkpoint is another"
        );
        from = to;
    }
    engine.create_indexes(&[table]).await?;
    Ok(engine)
}

fn row<F>(list: &List<F>, number: u64) -> Row {
    Row {
        id: id(number),
        tenant_id: TENANT.into(),
        patient_id: Some(id(number / 4).into()),
        version: 3,
        sort_key: (list.sort_key)(number),
        values: (list.values)(number),
        document: "x".repeat(DOCUMENT_BYTES),
        sealed: vec![7; DOCUMENT_BYTES / 2],
    }
}

/// Returns an id from the whole range, as random ids are.
fn id(number: u64) -> Uuid {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Uuid::from_u64_pair(spread, number)
}

async fn pages<F: Default>(
    report: &mut BenchReport,
    engine: &dyn Engine,
    list: &List<F>,
    when: &str,
) -> anyhow::Result<()> {
    // The first page includes opening the connection.
    engine.live_list(&(list.page)(&F::default())).await?;
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    let mut all = latencies();
    let started = Instant::now();
    let mut again = 0_u32;
    for (name, filters) in combinations(list) {
        let mut each = asked(engine, list, &filters, TIMES).await?;
        all.add(&each)?;
        if p99(&each) > BUDGET {
            each = asked(engine, list, &filters, TIMES_AGAIN).await?;
            all.add(&each)?;
            again += 1;
        }
        slowest.push((p99(&each), name));
    }
    slowest.sort_unstable_by(|one, other| other.cmp(one));
    let name = format!(
        "{}, {} combinations, {when}",
        list.model.name,
        slowest.len()
    );
    report.add(&Measure::new(
        name.clone(),
        all.len(),
        started.elapsed(),
        &all,
    ));
    for (p99, combination) in slowest.iter().take(NAMED) {
        println!("    p99 {:>8.3} ms   {combination}", millis(*p99));
    }
    println!("    asked for again: {again} combinations");
    let worst = slowest.first().map_or(Duration::ZERO, |(p99, _)| *p99);
    report.below(
        &format!("p99 of the slowest of {name}, ms"),
        millis(worst),
        millis(BUDGET),
    );
    Ok(())
}

/// Returns the latency of each of `times` requests of a page.
async fn asked<F>(
    engine: &dyn Engine,
    list: &List<F>,
    filters: &F,
    times: u32,
) -> anyhow::Result<Histogram<u64>> {
    let mut each = latencies();
    for _ in 0..times {
        let query = (list.page)(filters);
        let began = Instant::now();
        engine.live_list(&query).await?;
        each.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(each)
}

fn p99(each: &Histogram<u64>) -> Duration {
    Duration::from_micros(each.value_at_quantile(0.99))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Returns the list without a filter, and with one, two and three filters, each with each of its values.
fn combinations<F: Default>(list: &List<F>) -> Vec<(String, F)> {
    let mut all = vec![(String::from("no filter"), F::default())];
    let filters = list.filters.len();
    for mask in 1..1_usize << filters {
        if mask.count_ones() > 3 {
            continue;
        }
        let chosen = (0..filters).filter(|place| mask & (1 << place) != 0);
        let chosen: Vec<_> = chosen.filter_map(|place| list.filters.get(place)).collect();
        let variants: usize = chosen.iter().map(|choice| choice.len()).product();
        all.extend((0..variants).map(|variant| combination(&chosen, variant)));
    }
    all
}

fn combination<F: Default>(chosen: &[&Choice<F>], mut variant: usize) -> (String, F) {
    let mut names = Vec::new();
    let mut filters = F::default();
    for choice in chosen {
        if let Some((name, apply)) = choice.get(variant % choice.len()) {
            names.push(*name);
            apply(&mut filters);
        }
        variant /= choice.len();
    }
    (names.join(" & "), filters)
}
