//! Endless changes of a resource: its row stays as large as the resource, and its stream ends at its bound. A row that
//! the database rejects parks its stream and affects no other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_api::problem::ProblemCode;
use roentgen_domain::Change;
use roentgen_domain::aggregate::Aggregate;
use roentgen_domain::growth::{MAX_CHANGES, MAX_SEALED_BYTES};
use roentgen_domain::ids::{ReportId, StudyId};
use roentgen_domain::order::{self, Order};
use roentgen_domain::report::{self, Report};
use roentgen_domain::{Actor, EventMetadata, Timestamp};
use roentgen_store::codec::{EventAddress, encode};
use roentgen_store::log::{
    Append, AppendBatch, AppendOutcome, ExpectedVersion, NewEvent, PreparedAppend,
};
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::assert_problem;
use crate::read_model_audit::{OfflineDatabase, assert_match_log, caught_up};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    a_row_stays_as_large_as_its_resource,
    what_was_signed_is_kept_beside_many_unsigned_changes,
    edits_end_at_the_bound_of_bytes_and_the_case_goes_on,
    edits_end_at_the_bound_of_changes_and_the_case_goes_on,
    a_refused_row_costs_its_stream_only,
);

const LARGE: usize = 60_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
const EDITS: usize = 40;

/// Resource that can be changed without limit.
pub(super) struct Subject {
    name: &'static str,
    table: &'static str,
    pub(super) client: TestClient,
    pub(super) place: String,
    id: Uuid,
    /// Member that is changed.
    member: &'static str,
    /// Request that ends the case: method, path, body.
    end: (&'static str, String, Value),
}

impl Subject {
    fn value(&self, n: usize) -> Value {
        let text = format!("{n} {}", "x".repeat(LARGE));
        match self.member {
            "metadata" => json!({ "text": text }),
            _ => json!(text),
        }
    }

    async fn edit(&self, n: usize) -> Result<TestResponse> {
        let body = json!({ self.member: self.value(n) });
        self.client.patch(&self.place, &body).await
    }

    async fn end(&self) -> Result<TestResponse> {
        let (method, path, body) = &self.end;
        match *method {
            "PATCH" => self.client.patch(path, body).await,
            _ => self.client.post(path, body).await,
        }
    }
}

async fn an_order(house: &TestApp) -> Result<Subject> {
    let ordered = house.create_order(json!({})).await?;
    let place = ordered.header("location");
    Ok(Subject {
        name: "order",
        table: "orders_v2",
        client: house.client.clone(),
        id: ordered.text_at("/id").parse()?,
        member: "metadata",
        end: ("PATCH", place.clone(), json!({ "status": "completed" })),
        place,
    })
}

pub(super) async fn a_report(house: &TestApp) -> Result<Subject> {
    let endpoint = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    let endpoint = house.client.post("/pacs/endpoints", &endpoint).await?;
    ensure!([201, 409].contains(&endpoint.status), "{endpoint:?}");
    let study = json!({
        "pacs_endpoint_code": "MAIN", "study_instance_uid": format!("2.25.{}", fresh().as_u128()),
        "patient_id": fresh(), "modality_code": "CT",
    });
    let study = house.setup().post("/pacs/studies/sync", &study).await?;
    ensure!(study.status == 201, "{study:?}");
    let body = json!({
        "imaging_study_id": study.text_at("/id"), "patient_id": study.text_at("/patient_id"),
        "impression": "acute stroke",
    });
    let client = house.caller("radiologist")?;
    let report = client.post("/radiology/reports", &body).await?;
    ensure!(report.status == 201, "{report:?}");
    let place = report.header("location");
    Ok(Subject {
        name: "report",
        table: "reports_v2",
        client,
        id: report.text_at("/id").parse()?,
        member: "findings",
        end: ("POST", format!("{place}/sign"), json!({ "final": true })),
        place,
    })
}

async fn settled(house: &TestApp) -> Result<()> {
    let beside = OfflineDatabase::open(&house.database).await?;
    caught_up(&*beside.log).await?;
    beside.close().await;
    Ok(())
}

/// Returns the number of sealed bytes in the row.
async fn row_bytes(house: &TestApp, subject: &Subject) -> Result<usize> {
    settled(house).await?;
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    let id = read.id(subject.id);
    let table = subject.table;
    let bytes = format!("SELECT CAST(length(sealed) AS bigint) FROM {table} WHERE id = {id}");
    Ok(usize::try_from(read.number(&bytes).await?)?)
}

/// The first part of a resource is retained for the member that never changes, so at most two large parts are stored.
async fn a_row_stays_as_large_as_its_resource(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for subject in [an_order(&house).await?, a_report(&house).await?] {
        for n in 0..EDITS {
            let edited = subject.edit(n).await?;
            ensure!(edited.status == 200, "{} {n}: {edited:?}", subject.name);
        }
        let bytes = row_bytes(&house, &subject).await?;
        let name = subject.name;
        ensure!((LARGE..3 * LARGE).contains(&bytes), "{name}: {bytes} bytes");
        let read = subject.client.get(&subject.place).await?.json();
        ensure!(read[subject.member] == subject.value(EDITS - 1), "{name}");
    }
    assert_match_log(&house.database).await?;
    Ok(())
}

async fn what_was_signed_is_kept_beside_many_unsigned_changes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let report = a_report(&house).await?;
    report.edit(0).await?;
    let sign = format!("{}/sign", report.place);
    let signed = report
        .client
        .post(&sign, &json!({ "final": false }))
        .await?;
    ensure!(signed.status == 200, "{signed:?}");
    for n in 1..EDITS {
        report.edit(n).await?;
    }
    let bytes = row_bytes(&house, &report).await?;
    ensure!((2 * LARGE..4 * LARGE).contains(&bytes), "{bytes} bytes");
    let unsigned = report.client.get(&report.place).await?.json();
    ensure!(unsigned["findings"] == report.value(EDITS - 1));
    let released = house.caller("clinician")?.get(&report.place).await?.json();
    ensure!(released["findings"] == report.value(0));
    ensure!(released["signature"]["valid"] == true, "{released}");
    assert_match_log(&house.database).await?;
    Ok(())
}

/// Most of the bytes are sealed under a destroyed key and cost nothing to read.
async fn edits_end_at_the_bound_of_bytes_and_the_case_goes_on(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let beside = OfflineDatabase::open(&house.database).await?;
    let order = an_order(&house).await?;
    let room = 2 * LARGE + LARGE / 2;
    let large = 200_000;
    let filler = (usize::try_from(MAX_SEALED_BYTES)? - room) / large;
    let rest = usize::try_from(MAX_SEALED_BYTES)? - room - filler * large;
    let sealed = std::iter::repeat_n(large, filler)
        .chain([rest])
        .map(foreign);
    let event = detail(&order);
    let stored = stored::<Order>(&house, order.id, &event, 1, sealed)?;
    write(&beside, order.id, 1, stored).await?;
    beside.close().await;
    bury(&house, &order).await?;
    // A node caches a patient's keys for some seconds.
    let edited = poll::wait_until(
        "the tombstone",
        WAIT_TIMEOUT,
        async || order.edit(0).await,
        |edited| edited.as_ref().is_ok_and(|edited| edited.status == 200),
    );
    edited.await??;
    let edited = order.edit(1).await?;
    ensure!(edited.status == 200, "{edited:?}");
    assert_problem(&order.edit(2).await?, ProblemCode::TooLarge, "a third");
    let small = json!({ "metadata": {} });
    let small = house.client.patch(&order.place, &small).await?;
    ensure!(small.status == 200, "what fits is taken: {small:?}");
    let ended = order.end().await?;
    ensure!(ended.status == 200, "{ended:?}");
    Ok(())
}

/// Id of a destroyed key of the patient.
const DESTROYED: Uuid = Uuid::from_bytes([7; 16]);

/// Inserts the tombstone of the destroyed key.
async fn bury(house: &TestApp, order: &Subject) -> Result<()> {
    let read = house.client.get(&order.place).await?;
    let patient: Uuid = read.text_at("/patient_id").parse()?;
    let mut keys = RawDatabase::on(&house.database, DbFile::Keys).await?;
    let [key, tenant, patient] = [DESTROYED, house.tenant, patient].map(|id| keys.id(id));
    let tombstone = format!(
        "INSERT INTO key_tombstones (key_id, tenant, patient, erased_at, erased_by) \
         VALUES ({key}, {tenant}, {patient}, 1, 'operator:tests')"
    );
    ensure!(keys.run(&tombstone).await? == 1);
    Ok(())
}

/// Returns this number of bytes as if sealed by the destroyed key.
fn foreign(bytes: usize) -> Vec<u8> {
    let mut sealed = [&[2], DESTROYED.as_bytes().as_slice(), &[0, 8], b"metadata"].concat();
    sealed.resize(bytes, 0);
    sealed
}

fn detail(order: &Subject) -> order::Event {
    order::Event::DetailsUpdated(order::DetailsUpdated {
        order_id: order.id.into(),
        patient_id: fresh().into(),
        scheduled_slot_id: Change::Keep,
        performed_start_at: None,
        phi: None,
    })
}

async fn edits_end_at_the_bound_of_changes_and_the_case_goes_on(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let beside = OfflineDatabase::open(&house.database).await?;
    let order = an_order(&house).await?;
    let event = detail(&order);
    grow::<Order>(&house, &beside, order.id, &event).await?;
    ends_at_its_bound(&order).await?;

    let report = a_report(&house).await?;
    let read = report.client.get(&report.place).await?;
    let study: StudyId = read.text_at("/imaging_study_id").parse::<Uuid>()?.into();
    let radiologist = read.text_at("/radiologist_id").parse::<Uuid>()?.into();
    let event = report::Event::Updated(Box::new(report::Updated {
        report_id: ReportId::derive(study),
        imaging_study_id: study,
        patient_id: fresh().into(),
        radiologist_id: None,
        critical_result: None,
        edited_by_radiologist_id: radiologist,
        edited_at: Timestamp::EPOCH,
        unsigned_changes: false,
        phi: None,
    }));
    grow::<Report>(&house, &beside, report.id, &event).await?;
    ends_at_its_bound(&report).await?;
    beside.close().await;
    Ok(())
}

/// Checks that one change fits and its idempotent retry returns the stored outcome, that another is rejected, and that
/// the case can be ended.
async fn ends_at_its_bound(subject: &Subject) -> Result<()> {
    let name = subject.name;
    let keyed = subject.client.with("idempotency-key", &fresh().to_string());
    let body = json!({ subject.member: subject.value(0) });
    let last = keyed.patch(&subject.place, &body).await?;
    ensure!(last.status == 200, "{name}: {last:?}");
    ensure!(last.json()["version"] == MAX_CHANGES, "{name}: {last:?}");
    assert_problem(&subject.edit(1).await?, ProblemCode::TooLarge, name);
    let repeated = keyed.patch(&subject.place, &body).await?;
    ensure!(repeated.status == 200, "{name}: {repeated:?}");
    let ended = subject.end().await?;
    ensure!(ended.status == 200, "{name}: {ended:?}");
    ensure!(ended.json()["version"] == MAX_CHANGES + 1, "{name}");
    Ok(())
}

/// Appends the event to a stream of one event until one change is left, past the program's limit.
pub(super) async fn grow<A: Aggregate>(
    house: &TestApp,
    beside: &OfflineDatabase,
    id: Uuid,
    event: &A::Event,
) -> Result<()> {
    let mut version = 1;
    while version < MAX_CHANGES - 1 {
        let count = (MAX_CHANGES - 1 - version).min(1000);
        let sealed = (0..count).map(|_| Vec::new());
        let events = stored::<A>(house, id, event, version, sealed)?;
        write(beside, id, version, events).await?;
        version += count;
    }
    Ok(())
}

/// Returns the event once for each of these sealed parts.
pub(crate) fn stored<A: Aggregate>(
    house: &TestApp,
    id: Uuid,
    event: &A::Event,
    version: u64,
    sealed: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<NewEvent>> {
    let metadata = EventMetadata {
        actor: Actor::system(),
        correlation_id: fresh().into(),
        causation_id: None,
    };
    let metadata = serde_json::to_string(&metadata)?;
    let events = (version + 1..).zip(sealed).map(|(version, sealed)| {
        let place = EventAddress {
            tenant_id: house.tenant.into(),
            stream_id: id.into(),
            version,
        };
        let encoded = encode::<A>(event, place, metadata.clone(), None)?;
        Ok(NewEvent { sealed, ..encoded })
    });
    events.collect()
}

pub(crate) async fn write(
    beside: &OfflineDatabase,
    id: Uuid,
    expected: u64,
    events: Vec<NewEvent>,
) -> Result<()> {
    let check = ExpectedVersion {
        stream_id: id.into(),
        expected,
    };
    let append = Append {
        checks: vec![check],
        events,
        ..Append::default()
    };
    let leaves = append.events.iter().map(NewEvent::leaf).collect();
    let prepared = PreparedAppend { append, leaves };
    let batch = AppendBatch {
        appends: vec![&prepared],
        resend: false,
    };
    let outcome = beside.log.append(&batch).await?;
    ensure!(outcome.verdicts == [AppendOutcome::Written], "{outcome:?}");
    Ok(())
}

async fn a_refused_row_costs_its_stream_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = an_order(&house).await?;
    settled(&house).await?;
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    let id = read.id(order.id);
    let (refuse, accept) = match engine {
        EngineKind::Sqlite => (
            format!(
                "CREATE TRIGGER refuse BEFORE UPDATE ON orders_v2 WHEN NEW.id = {id} \
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
            "DROP TRIGGER refuse",
        ),
        EngineKind::Postgres => {
            let function = "CREATE FUNCTION read.refuse() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$";
            read.run(function).await?;
            (
                format!(
                    "CREATE TRIGGER refuse BEFORE UPDATE ON orders_v2 FOR EACH ROW \
                     WHEN (NEW.id = {id}) EXECUTE FUNCTION read.refuse()"
                ),
                "DROP TRIGGER refuse ON orders_v2",
            )
        }
    };
    read.run(&refuse).await?;
    let edited = order.edit(1).await?;
    ensure!(edited.status == 200, "{edited:?}");
    let tenant = fresh();
    let other = TestClient::dev(&house.server.base, tenant);
    crate::test_app::create_catalog(&other).await?;
    settled(&house).await?;
    let listed = other.get("/imaging/procedures").await?;
    ensure!(listed.ids().len() == 1, "{listed:?}");

    let operator = house.operator()?;
    let parked = operator.get("/admin/projections").await?.json();
    let models = parked.as_array().context("no array")?;
    for model in models {
        let expected = u64::from(model["name"] == "orders");
        ensure!(model["parked_count"] == expected, "{model}");
        ensure!(model["lag"] == 0, "{model}");
    }
    let retry = format!("/admin/projections/orders/parked/{}/retry", order.id);
    let refused = operator.post(&retry, &json!({})).await?;
    assert_problem(&refused, ProblemCode::StillParked, "a retry");
    read.run(accept).await?;
    let retried = operator.post(&retry, &json!({})).await?;
    ensure!(retried.status == 200, "{retried:?}");
    let shown = house.client.get("/imaging/orders").await?.json();
    ensure!(shown[0]["metadata"] == order.value(1), "the row is whole");
    assert_match_log(&house.database).await?;
    Ok(())
}
