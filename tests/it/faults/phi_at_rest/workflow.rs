//! Canaries in a whole workflow: studies, worklist items, reports and communications, AI outputs, and everything that
//! policies derive from them.

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::json;

use super::rejected_workflow_requests::{ASKED, MISTAKEN};
use crate::leak_scan::{assert_absent, assert_present, dump_storage};
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, fresh, on_both_engines};
use crate::workflow::full_workflow::{PhiCanaries, WorkflowRecord, run_workflow};

on_both_engines!(the_workflows_words_are_nowhere);

/// Text without PHI, which the scan must find.
const OPEN: &str = "Main archive";
/// Members that occur only in sealed parts; the header of a sealed part has their names, but no JSON.
const NAMES: [&str; 5] = [
    "\"family_name\"",
    "\"cancellation_reason\"",
    "\"clinical_history\"",
    "\"recipient\"",
    "\"ai_assist_summary\"",
];

async fn the_workflows_words_are_nowhere(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "trace"]).await?;
    let words = PhiCanaries::default();
    let whole = run_workflow(&house, &words).await?;
    let said = words.said();
    seen_by_whom_it_concerns(&house, &whole, &said).await?;
    let bad = words.id_of("refused");
    refused(&house, &whole, &bad).await?;
    assert_match_log(&house.database).await?;

    let said = words.said();
    let metrics = house.client.get("/metrics").await?;
    assert_present(
        &["roentgen_requests_total"],
        "the metrics",
        metrics.text.as_bytes(),
    )?;
    assert_absent(&said, "the metrics", metrics.text.as_bytes())?;
    let scanned = |stored: &[u8]| {
        assert_present(&[OPEN], "the database", stored)?;
        assert_absent(&NAMES, "the database", stored)?;
        assert_absent(&said, "the database", stored)
    };
    scanned(&dump_storage(&house.database)?)?;
    let log = house.server.log.clone();
    house.server.terminate()?;
    scanned(&dump_storage(&house.database)?)?;
    let logged = std::fs::read(log)?;
    assert_present(
        &["\"event\":\"http.response\"", "\"level\":\"DEBUG\""],
        "the log",
        &logged,
    )?;
    assert_absent(&said, "the server's log", &logged)
}

/// Checks that everything was accepted: the feed with `phi=true` and the lists contain it, and other callers do not see
/// it.
async fn seen_by_whom_it_concerns(
    house: &TestApp,
    whole: &WorkflowRecord,
    said: &[String],
) -> Result<()> {
    let feed = "/events?limit=5000";
    let open = house.client.get(&format!("{feed}&phi=true")).await?;
    let sealed = house.client.get(feed).await?;
    assert_present(said, "the open feed", open.text.as_bytes())?;
    shows_nothing(&sealed, 200..300, said)?;
    let addenda = format!("{}/addenda", whole.report);
    let lists = [
        "/imaging/orders",
        "/pacs/studies",
        "/radiology/worklist/items?status=all",
        "/radiology/reports",
        "/imaging-ai/outputs",
        &addenda,
    ];
    for path in whole.places().into_iter().chain(lists) {
        let read = whole.reader.get(path).await?;
        ensure!(read.status == 200, "{path}: {read:?}");
        // A task has no PHI.
        let shown = assert_absent(said, path, read.text.as_bytes()).is_err();
        ensure!(shown == (path != whole.task), "{path}: {read:?}");
    }
    let timeline = format!("/patients/{}/timeline", whole.patient);
    for path in [
        timeline.as_str(),
        "/imaging-ai/tasks",
        "/imaging/procedures",
    ] {
        shows_nothing(&whole.reader.get(path).await?, 200..300, said)?;
    }
    let worker = house.caller("ai_worker")?;
    for path in [&whole.study, "/pacs/studies"] {
        shows_nothing(&worker.get(path).await?, 200..300, said)?;
    }
    Ok(())
}

async fn refused(house: &TestApp, whole: &WorkflowRecord, bad: &str) -> Result<()> {
    let draft = a_draft(whole, bad).await?;
    let study = house.client.get(&whole.study).await?;
    let id = |place: &str| place.rsplit('/').next().unwrap_or_default().to_owned();
    let quoted = |text: &str| format!("\"{text}\"");
    for request in MISTAKEN {
        let path = [
            ("DRAFT", draft.as_str()),
            ("FINAL", &whole.report),
            ("STUDY", &whole.study),
            ("ITEM", &whole.item),
            ("TASK", &whole.task),
            ("OUTPUT", &id(&whole.outputs[0])),
        ];
        let body = [
            ("PATIENT", quoted(&whole.patient.to_string())),
            ("STUDY", quoted(&id(&whole.study))),
            ("TASK", quoted(&id(&whole.task))),
            ("NOBODY", quoted(&fresh().to_string())),
            ("UID", quoted(&study.text_at("/study_instance_uid"))),
            ("LONG", "x".repeat(65_000)),
            ("BAD", bad.to_owned()),
        ];
        let path = path
            .iter()
            .fold(request.path.to_owned(), |path, (name, is)| {
                path.replace(name, is)
            });
        let body = body
            .iter()
            .fold(request.body.to_owned(), |body, (name, is)| {
                body.replace(name, is)
            });
        let client = writer(house, whole, &path);
        let answer = client
            .send(request.method.parse()?, &path, body.into_bytes())
            .await?;
        shows_nothing(&answer, 400..500, &[bad]).with_context(|| request.body)?;
    }
    for path in ASKED {
        let answer = whole.reader.get(&path.replace("BAD", bad)).await?;
        shows_nothing(&answer, 400..500, &[bad]).with_context(|| *path)?;
    }
    Ok(())
}

/// Returns the client that may write: the radiologist for reports, the admin for everything else.
fn writer<'a>(house: &'a TestApp, whole: &'a WorkflowRecord, path: &str) -> &'a TestClient {
    if path.starts_with("/radiology/reports") {
        &whole.reader
    } else {
        &house.client
    }
}

/// Creates a draft in place of the cancelled report, with data that its template's schema does not allow.
async fn a_draft(whole: &WorkflowRecord, bad: &str) -> Result<String> {
    let reader = &whole.reader;
    let cancelled = reader.get(&whole.cancelled).await?.json();
    let template = reader.get("/radiology/templates").await?.ids().pop();
    let body = json!({
        "imaging_study_id": cancelled["imaging_study_id"], "patient_id": whole.patient,
        "template_id": template, "impression": bad, "structured_data": { "aspects": [bad] },
    });
    let draft = reader.post("/radiology/reports", &body).await?;
    ensure!(draft.status == 201, "{draft:?}");
    Ok(draft.header("location"))
}

fn shows_nothing<W: AsRef<str>>(
    answer: &TestResponse,
    status: std::ops::Range<u16>,
    words: &[W],
) -> Result<()> {
    ensure!(status.contains(&answer.status), "{answer:?}");
    assert_absent(words, "an answer", format!("{answer:?}").as_bytes())
}
