//! Catch-up of the projector from position 0 over a log of orders.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use roentgen_domain::aggregate::Aggregate as _;
use roentgen_domain::codes::{ModalityCode, ProcedureCode};
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::OrderId;
use roentgen_domain::order::{Command, Event, NewOrder, Order, OrderDetails};
use roentgen_domain::text::Text;
use roentgen_domain::{Actor, Context};
use roentgen_store::chain::GENESIS;
use roentgen_store::clock;
use roentgen_store::codec::{EventAddress, encode};
use roentgen_store::fair::ShareOwner;
use roentgen_store::generation::{Generation, GenerationState};
use roentgen_store::keys::{KeyLookup, PatientKey};
use roentgen_store::log::{Append, ExpectedVersion};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::database::{BenchDatabase, BenchNode, TENANT, order};
use crate::report::{BenchReport, Measure, latencies};

/// Length of the log, in events.
pub(crate) const EVENTS: u64 = 300_000;
const WRITERS: u64 = 64;
/// Read model that the whole log is projected to.
const MODEL: &str = "orders";
const PAUSE: Duration = Duration::from_millis(10);
/// Metadata of every event.
pub(crate) const METADATA: &str = r#"{"actor":{"sub":"bench","roles":["clinician"]},"correlation_id":"00000000-0000-0000-0000-000000000001"}"#;
/// Number of streams per append while the log is created.
pub(crate) const BATCH_SIZE: u64 = 50;

/// Creates a database with a projected log of orders.
pub(crate) async fn log_of_orders() -> anyhow::Result<BenchDatabase> {
    let database = BenchDatabase::new().await?;
    let node = Arc::new(BenchNode::start(&database).await?);
    fill(&node, EVENTS).await?;
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    Ok(database)
}

/// Appends this number of new orders, in concurrent batches.
pub(crate) async fn fill(node: &Arc<BenchNode>, orders: u64) -> anyhow::Result<()> {
    fill_with(node, orders / BATCH_SIZE, |node| async move {
        some_orders(&node).await
    })
    .await
}

/// Creates and appends this number of append requests from concurrent writers.
pub(crate) async fn fill_with<F>(
    node: &Arc<BenchNode>,
    appends: u64,
    make: fn(Arc<BenchNode>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Append>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let node = Arc::clone(node);
        tasks.spawn(async move {
            for _ in (writer..appends).step_by(WRITERS as usize) {
                let append = make(Arc::clone(&node)).await?;
                let deadline = Instant::now() + Duration::from_secs(30);
                node.store
                    .appender
                    .append(ShareOwner::System, append, deadline)
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Returns an append of [`BATCH_SIZE`] new orders.
pub(crate) async fn some_orders(node: &BenchNode) -> anyhow::Result<Append> {
    let mut append = Append::default();
    for _ in 0..BATCH_SIZE {
        create(node, &mut append).await?;
    }
    Ok(append)
}

pub(crate) fn context() -> Context {
    Context {
        tenant_id: TENANT.into(),
        actor: Actor::system(),
        now: clock::now(),
        fresh_id: clock::fresh_id(),
    }
}

/// Adds a new order to an append.
pub(crate) async fn create(
    node: &BenchNode,
    append: &mut Append,
) -> anyhow::Result<(OrderId, Order)> {
    let context = context();
    let tenant_id = context.tenant_id;
    let new = new_order(node, &context)?;
    let id = OrderId::derive(tenant_id, &new.request.accession_number);
    let writing = node
        .store
        .keyring
        .key_for_write(tenant_id, new.patient_id, KeyLookup::Optimistic)
        .await?;
    let events = Order::decide(None, Command::Create(Box::new(new)), &context)?;
    let order = add(append, id, (None, 0), events, Some(&writing.key))?;
    append.patient_keys.extend(writing.new);
    Ok((id, order))
}

/// Adds events of an order to an append; they follow the given state and version.
pub(crate) fn add(
    append: &mut Append,
    id: OrderId,
    (mut order, version): (Option<Order>, u64),
    events: Vec<Event>,
    key: Option<&PatientKey>,
) -> anyhow::Result<Order> {
    append.checks.push(ExpectedVersion {
        stream_id: id.into(),
        expected: version,
    });
    for (version, event) in (version + 1..).zip(events) {
        let place = EventAddress {
            tenant_id: TENANT.into(),
            stream_id: id.into(),
            version,
        };
        let encoded = encode::<Order>(&event, place, METADATA.into(), key)?;
        append.events.push(encoded);
        order = Some(Order::evolve(order, event)?);
    }
    order.context("no event")
}

fn new_order(node: &BenchNode, context: &Context) -> anyhow::Result<NewOrder> {
    let order = order(node.procedure);
    let accession_number = AccessionNumber::generated(context.fresh_id);
    let request = OrderDetails {
        encounter_id: order.encounter_id,
        episode_id: None,
        ordering_practitioner_id: order.ordering_practitioner_id,
        ordering_department_id: order.ordering_department_id,
        imaging_procedure_id: order.imaging_procedure_id,
        procedure_code: ProcedureCode::parse("CT_HEAD")?,
        procedure_name: Text::parse("CT head")?,
        modality_code: ModalityCode::parse("CT")?,
        priority: order.priority,
        requested_at: context.now,
        fhir_service_request_id: OrderId::derive(context.tenant_id, &accession_number),
        accession_number,
    };
    Ok(NewOrder {
        patient_id: order.patient_id,
        request,
        phi: order.phi,
    })
}

/// Deletes the read models.
pub(crate) async fn forget(database: &BenchDatabase) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&database.url).await?;
    let tables = sqlx::query_scalar::<_, String>("SELECT tables FROM read.generations");
    for tables in tables.fetch_all(&mut connection).await? {
        for table in tables.split(' ') {
            let drop = AssertSqlSafe(format!("DROP TABLE read.{table}"));
            connection.execute(drop).await?;
        }
    }
    connection.execute("DELETE FROM read.generations").await?;
    connection.execute("DELETE FROM read.checkpoints").await?;
    connection.execute("DELETE FROM read.leases").await?;
    Ok(())
}

/// Deletes the read models and measures their rebuild. A log of this length is backfilled before it is read.
pub(crate) async fn measure(
    report: &mut BenchReport,
    database: &BenchDatabase,
) -> anyhow::Result<()> {
    println!("catch-up: the read models of a log of {EVENTS} events from zero");
    forget(database).await?;
    let node = BenchNode::start(database).await?;
    let head = node.store.engine.head().await?;
    assert_ne!(head.hash, GENESIS, "the log is not empty");
    let rate = |name: &str, took| {
        let name = format!("{MODEL}, {name}");
        Measure::new(name, head.position, took, &latencies())
    };
    let began = begins(&node).await?;
    state_of(&node, Some(MODEL), |generation| {
        !matches!(generation.state, GenerationState::Filling { .. })
    })
    .await?;
    let filled = rate("filled", began.elapsed());
    report.add(&filled);
    state_of(&node, Some(MODEL), |generation| {
        generation.state == GenerationState::Live
    })
    .await?;
    report.add(&rate("filled, indexed, compared: read", began.elapsed()));
    report.compare_with_budget(
        "catch-up / 60k events a second",
        filled.per_second,
        60_000.0,
    );
    state_of(&node, None, |generation| {
        generation.state == GenerationState::Live
    })
    .await?;
    node.stop().await;
    Ok(())
}

/// Returns the time at which the first events were projected, at most one poll interval early.
async fn begins(node: &BenchNode) -> anyhow::Result<Instant> {
    let mut began = Instant::now();
    state_of(node, Some(MODEL), |generation| {
        let is_empty = generation.checkpoint.position == 0;
        if is_empty {
            began = Instant::now();
        }
        !is_empty
    })
    .await?;
    Ok(began)
}

/// Waits until the generations of a read model, or of all read models, meet the condition.
async fn state_of(
    node: &BenchNode,
    model: Option<&str>,
    mut is_so: impl FnMut(&Generation) -> bool,
) -> anyhow::Result<()> {
    let far = Instant::now() + Duration::from_secs(600);
    loop {
        let mut generations = node.store.engine.generations().await?;
        generations.retain(|generation| model.is_none_or(|model| generation.model == model));
        let failed = generations
            .iter()
            .find(|generation| matches!(generation.state, GenerationState::Failed { .. }));
        ensure!(failed.is_none(), "{failed:?}");
        if generations.iter().all(&mut is_so) {
            return Ok(());
        }
        ensure!(Instant::now() < far, "the read models are not filled");
        sleep(PAUSE).await;
    }
}
