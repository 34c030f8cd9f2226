//! Comparison of the read models with the log: every row equals a fold of its stream, and there are no other rows.

mod outputs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use roentgen_domain::ids::StreamId;
use roentgen_domain::json::Members;
use roentgen_domain::phi::Phi;
use roentgen_domain::{Aggregate as _, Versioned};
use roentgen_projections::resource_projection::{ResourceView, retained_phi};
use roentgen_projections::{
    ai_models, ai_tasks, critical_results, instances, modalities, orders, pacs_endpoints,
    procedures, reading_profiles, report_templates, reports, series, studies, worklist_items,
};
use roentgen_store::engine::Engine as Log;
use roentgen_store::generation::{Generation, GenerationState};
use roentgen_store::keys::{Keyring, MasterKey, SealedPhi};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_store::read_model::Row;
use roentgen_store::readers::Scope;
use roentgen_store::reads::Reads;
use roentgen_store::secrets::Secrets;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, on_both_engines, with};
use crate::workflow::full_workflow::{PhiCanaries, run_workflow};
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestDatabase, poll};

on_both_engines!(every_row_of_the_whole_workflow_is_what_its_stream_makes);

/// Time limit for a projector to catch up, including the lease of a dead one.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
const CONCURRENCY: usize = 8;

/// Direct access to a database next to its server, with the server's `--dev` keys.
pub(crate) struct OfflineDatabase {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) keyring: Keyring,
    pub(crate) secrets: Secrets,
    tasks: BackgroundTasks,
}

impl OfflineDatabase {
    pub(crate) async fn open(database: &TestDatabase) -> Result<Self> {
        let named = roentgen_store::database::DatabaseUrl::parse(&database.url)?;
        let log = named.connect().await?;
        let kept = match database.engine {
            EngineKind::Sqlite => database.directory(),
            EngineKind::Postgres => database.directory().join("data"),
        };
        let master = std::fs::read_to_string(kept.join("dev-master-key"))?;
        let tasks = BackgroundTasks::new();
        let master = MasterKey::parse(&master)?;
        let secrets = Secrets::new(log.clone(), master.clone());
        let keyring = Keyring::open(log.clone(), master, &tasks).await?;
        Ok(Self {
            log,
            keyring,
            secrets,
            tasks,
        })
    }

    pub(crate) async fn close(self) {
        self.tasks.stop(Duration::from_secs(1)).await;
        self.log.close().await;
    }
}

/// Waits until the projector has processed the whole log, then compares. Returns the number of rows.
pub(crate) async fn assert_match_log(database: &TestDatabase) -> Result<usize> {
    Ok(rows_that_equal_the_log(database).await?.values().sum())
}

/// Waits and compares. Returns the number of rows by table.
async fn rows_that_equal_the_log(database: &TestDatabase) -> Result<BTreeMap<String, usize>> {
    let beside = OfflineDatabase::open(database).await?;
    caught_up(&*beside.log).await?;
    let everything = LogFilter::default();
    let rows = compare_all(&beside.log, &beside.keyring, &everything).await?;
    let generations = beside.log.generations().await?;
    for (shape, expected) in rows.iter() {
        let of_shape = |generation: &&Generation| {
            format!("{}_v{}", generation.model, generation.version) == *shape
        };
        let mut live = generations
            .iter()
            .filter(|generation| generation.state == GenerationState::Live);
        let table = &live.find(of_shape).context("nothing is read")?.name;
        let mut read = RawDatabase::on(database, DbFile::Read).await?;
        let there = read
            .number(&format!("SELECT count(*) FROM {table}"))
            .await?;
        ensure!(
            usize::try_from(there)? == *expected,
            "{table} has {there} rows where the log has {expected} streams"
        );
    }
    beside.close().await;
    Ok(rows)
}

async fn every_row_of_the_whole_workflow_is_what_its_stream_makes(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let whole = run_workflow(&house, &PhiCanaries::default()).await?;
    for place in whole.places() {
        let read = house.client.get(place).await?;
        assert_eq!(
            read.text_at("/patient_id"),
            whole.patient.to_string(),
            "{read:?}"
        );
    }
    let rows = rows_that_equal_the_log(&house.database).await?;
    let empty: Vec<_> = rows.iter().filter(|(_, rows)| **rows == 0).collect();
    assert!(empty.is_empty(), "nothing was played for {empty:?}");
    Ok(())
}

/// Waits until the checkpoint has reached the head of the log.
pub(crate) async fn caught_up(log: &dyn Log) -> Result<()> {
    let lag = async || {
        let head = log.head().await?;
        let position = projected(log).await?;
        anyhow::Ok(head.position.abs_diff(position))
    };
    let seen = poll::wait_until("the projector's lag", WAIT_TIMEOUT, lag, |lag| {
        lag.as_ref().is_ok_and(|lag| *lag == 0)
    });
    seen.await?.map(drop)
}

/// Returns the last position that all read models have reached.
pub(crate) async fn projected(log: &dyn Log) -> Result<u64> {
    let generations = log.generations().await?;
    let live = generations
        .iter()
        .filter(|generation| generation.state == GenerationState::Live);
    let position = live.map(|generation| generation.checkpoint.position).min();
    Ok(position.unwrap_or(0))
}

/// Compares every read model with the events that pass the filter. Returns the number of rows by table.
pub(crate) async fn compare_all(
    log: &Arc<dyn Log>,
    keyring: &Keyring,
    filter: &LogFilter,
) -> Result<BTreeMap<String, usize>> {
    let events = every_event(&**log, filter).await?;
    let mut rows = BTreeMap::new();
    compare::<modalities::Modalities>(log, keyring, &events, &mut rows).await?;
    compare::<procedures::Procedures>(log, keyring, &events, &mut rows).await?;
    compare::<orders::Orders>(log, keyring, &events, &mut rows).await?;
    compare::<report_templates::ReportTemplates>(log, keyring, &events, &mut rows).await?;
    compare::<reports::Reports>(log, keyring, &events, &mut rows).await?;
    compare::<critical_results::CriticalResults>(log, keyring, &events, &mut rows).await?;
    compare::<ai_models::AiModels>(log, keyring, &events, &mut rows).await?;
    compare::<ai_tasks::AiTasks>(log, keyring, &events, &mut rows).await?;
    compare::<pacs_endpoints::PacsEndpoints>(log, keyring, &events, &mut rows).await?;
    compare::<studies::Studies>(log, keyring, &events, &mut rows).await?;
    compare::<reading_profiles::ReadingProfiles>(log, keyring, &events, &mut rows).await?;
    compare::<worklist_items::WorklistItems>(log, keyring, &events, &mut rows).await?;
    outputs::compare(log, keyring, &events, &mut rows).await?;
    compare_parts(log, &events, &mut rows).await?;
    let all = roentgen_projections::all();
    let all: BTreeSet<String> = all
        .iter()
        .map(|projection| projection.model().schema_name())
        .collect();
    let compared = rows.keys().cloned().collect();
    ensure!(all == compared, "of {all:?} only {compared:?} are compared");
    Ok(rows)
}

/// Returns every event that passes the filter, in order.
pub(crate) async fn every_event(log: &dyn Log, filter: &LogFilter) -> Result<Vec<StoredEvent>> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = log.read_log(after, 5000, filter).await?;
        if page.scanned_to == after {
            return Ok(events);
        }
        after = page.scanned_to;
        events.extend(page.events);
    }
}

async fn compare<V: ResourceView>(
    log: &Arc<dyn Log>,
    keyring: &Keyring,
    events: &[StoredEvent],
    rows: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let mut streams: BTreeMap<StreamId, SealedPhi> = BTreeMap::new();
    for event in events {
        if *event.stream_type == *<V::Aggregate as roentgen_domain::Aggregate>::STREAM_TYPE {
            let parts = streams.entry(event.stream_id).or_default();
            parts.push(event.version, &event.sealed);
        }
    }
    rows.insert(V::MODEL.schema_name(), streams.len());
    stream::iter(streams)
        .map(|(id, sealed)| compare_row::<V>(log, keyring, id, sealed))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Compares the rows of series and instances with a fold of their studies' events.
async fn compare_parts(
    log: &Arc<dyn Log>,
    events: &[StoredEvent],
    rows: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let (all_series, all_instances) = parts_of(events)?;
    for (model, expected) in [
        (&series::MODEL, all_series),
        (&instances::MODEL, all_instances),
    ] {
        rows.insert(model.schema_name(), expected.len());
        let ids: Vec<Uuid> = expected.keys().copied().collect();
        for ids in ids.chunks(500) {
            for row in log.live_rows(Scope::AllTenants, model, ids).await? {
                let shown: Value = serde_json::from_str(&row.document)?;
                let expected = &expected[&row.id];
                ensure!(shown == *expected, "{} {shown}: {expected}", model.name);
            }
        }
    }
    Ok(())
}

type Documents = BTreeMap<Uuid, Value>;

/// Returns series and instances by id, built from the events' JSON alone.
fn parts_of(events: &[StoredEvent]) -> Result<(Documents, Documents)> {
    let mut all_series = Documents::new();
    let mut all_instances = Documents::new();
    for event in events {
        let data: Value = serde_json::from_str(&event.payload)?;
        let stamp = |mut part: Value, id: &Value| {
            part["id"] = id.clone();
            part["tenant_id"] = json!(event.tenant_id);
            part["version"] = json!(event.version);
            part["updated_at"] = json!(event.recorded_at());
            part
        };
        let touched = data["series"].as_array().cloned().unwrap_or_default();
        for mut part in touched {
            let id = part["series_id"].take();
            let key: Uuid = serde_json::from_value(id.clone())?;
            part.as_object_mut()
                .map(|object| object.remove("series_id"));
            match &*event.event_type {
                "ImagingStudy.SeriesAdded" => {
                    part["imaging_study_id"] = data["study_id"].clone();
                    part["created_at"] = json!(event.recorded_at());
                    all_series.insert(key, stamp(part, &id));
                }
                "ImagingStudy.Updated" | "ImagingStudy.InstancesAdded" => {
                    let added = part["instances"].take();
                    part.as_object_mut()
                        .map(|object| object.remove("instances"));
                    let known = all_series.remove(&key).context("no series")?;
                    all_series.insert(key, stamp(with(known, part), &id));
                    for mut instance in added.as_array().cloned().unwrap_or_default() {
                        let own = instance["instance_id"].take();
                        instance
                            .as_object_mut()
                            .map(|object| object.remove("instance_id"));
                        instance["imaging_series_id"] = id.clone();
                        instance["imaging_study_id"] = data["study_id"].clone();
                        instance["created_at"] = json!(event.recorded_at());
                        let key: Uuid = serde_json::from_value(own.clone())?;
                        all_instances.insert(key, stamp(instance, &own));
                    }
                }
                _ => {}
            }
        }
    }
    Ok((all_series, all_instances))
}

async fn compare_row<V: ResourceView>(
    log: &Arc<dyn Log>,
    keyring: &Keyring,
    id: StreamId,
    sealed: SealedPhi,
) -> Result<()> {
    let folded =
        loader::load::<V::Aggregate>(&Reads::of_system(log), keyring, id, AsOf::Now).await?;
    let folded = folded.with_context(|| format!("stream {id} does not fold"))?;
    let row = log
        .live_rows(Scope::AllTenants, V::MODEL, &[id.as_uuid()])
        .await?
        .pop();
    let row = row.with_context(|| format!("{} has no row of {id}", V::MODEL.name))?;
    let opened = opened(&row, id, keyring).await?;
    let phi = folded.state.phi().map(Phi::into_inner);
    ensure!(
        opened == phi,
        "the PHI of row {id} differs from its fold's: {opened:?}, {phi:?}"
    );
    let expected = row_of::<V>(&folded, sealed)?;
    ensure!(
        row == expected,
        "row {id} differs from its fold: {row:?}, {expected:?}"
    );
    Ok(())
}

fn row_of<V: ResourceView>(folded: &Versioned<V::Aggregate>, sealed: SealedPhi) -> Result<Row> {
    Ok(Row {
        id: folded.id.as_uuid(),
        tenant_id: folded.tenant_id,
        patient_id: folded.state.patient_id(),
        version: folded.version,
        sort_key: V::sort_key(folded),
        values: V::column_values(folded),
        document: serde_json::to_string(folded)?,
        sealed: retained_phi(folded, sealed),
    })
}

/// Decrypts the PHI of a row, which was sealed in this stream. Returns `None` if it has none or its key was erased.
async fn opened(row: &Row, stream: StreamId, keyring: &Keyring) -> Result<Option<Members>> {
    let Some(patient) = row.patient_id.filter(|_| !row.sealed.is_empty()) else {
        return Ok(None);
    };
    let keys = keyring.keys(row.tenant_id, patient).await?;
    Ok(SealedPhi::from_bytes(row.sealed.clone()).open(stream, &keys)?)
}
