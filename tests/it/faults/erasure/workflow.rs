//! Erasure after a whole workflow: study, worklist item, reports and AI outputs of the patient are erased, and another
//! patient's are unchanged.

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{EngineKind, TestClient, TestResponse, poll};
use serde_json::{Value, json};

use super::{UNTIL_ERASED, destroy_key, rebuilt};
use crate::faults::verify;
use crate::leak_scan::assert_absent;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, on_both_engines};
use crate::workflow::full_workflow::{Catalog, PhiCanaries, WorkflowRecord, play_again};

on_both_engines!(the_patients_studies_reports_and_results_are_gone_and_the_rest_stays);

const LISTS: [&str; 6] = [
    "/imaging/orders",
    "/pacs/studies",
    "/radiology/worklist/items?status=all",
    "/radiology/reports",
    "/radiology/critical-results?status=all",
    "/imaging-ai/outputs",
];

async fn the_patients_studies_reports_and_results_are_gone_and_the_rest_stays(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let catalog = Catalog::furnish(&house).await?;
    let words = PhiCanaries::default();
    let erased = play_again(&house, &catalog, &words).await?;
    let other = play_again(&house, &catalog, &words).await?;
    let words = words.said();
    let before = all_of_it(&house.client, &other).await?;
    destroy_key(&house, erased.patient).await?;

    reads_erased(&house.client, &erased, &words).await?;
    assert_eq!(all_of_it(&house.client, &other).await?, before);
    still_moves(&house.client, &erased, &words).await?;
    reads_erased(&house.client, &erased, &words).await?;
    assert_eq!(all_of_it(&house.client, &other).await?, before);

    let rows = assert_match_log(&house.database).await?;
    let (database, (_server, client)) = rebuilt(house, rows).await?;
    assert_eq!(assert_match_log(&database).await?, rows);
    reads_erased(&client, &erased, &words).await?;
    assert_eq!(all_of_it(&client, &other).await?, before);
    verify(&database)
}

/// Returns a patient's resources, and checks that their PHI is open in single reads and lists.
async fn all_of_it(client: &TestClient, whole: &WorkflowRecord) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for place in whole.places() {
        let read = client.get(place).await?;
        let state = read.json().get("phi").cloned().unwrap_or(json!("open"));
        ensure!((read.status, &state) == (200, &json!("open")), "{read:?}");
        all.push(read.text);
    }
    for path in LISTS {
        let rows = own_rows(client, path, whole).await?;
        let open = rows.iter().all(|row| row["phi"] == "open");
        ensure!(open && !rows.is_empty(), "{path}: {rows:?}");
    }
    Ok(all)
}

/// Waits until the resources read as erased, alone, in lists, in earlier states and in the feed; the caches have to
/// expire.
async fn reads_erased(client: &TestClient, whole: &WorkflowRecord, words: &[String]) -> Result<()> {
    // A task has no patient data except the id.
    let places = whole
        .places()
        .into_iter()
        .filter(|text| *text != whole.task);
    for place in places {
        let read = async || client.get(place).await;
        let erased = |result: &Result<TestResponse>| {
            result
                .as_ref()
                .is_ok_and(|response| is_erased(&response.json()))
        };
        let read = poll::wait_until(place, UNTIL_ERASED, read, erased).await??;
        assert_absent(words, place, read.text.as_bytes())?;
        let past = format!("{place}?as_of={}", read.header("log-position"));
        let past = client.get(&past).await?;
        assert!(is_erased(&past.json()), "{past:?}");
        assert_absent(words, place, past.text.as_bytes())?;
    }
    lists_erased(client, whole, words).await?;
    for path in [
        format!("{}/addenda", whole.report),
        format!("/patients/{}/timeline", whole.patient),
        format!("/events?phi=true&limit=5000&patient_id={}", whole.patient),
    ] {
        let answer = client.get(&path).await?;
        ensure!(
            answer.status == 200 && answer.text.len() > 2,
            "{path}: {answer:?}"
        );
        assert_absent(words, &path, answer.text.as_bytes())?;
    }
    Ok(())
}

async fn lists_erased(client: &TestClient, whole: &WorkflowRecord, words: &[String]) -> Result<()> {
    let mut listed = Vec::new();
    for path in LISTS {
        let own = async || own_rows(client, path, whole).await;
        let erased = |result: &Result<Vec<Value>>| {
            result
                .as_ref()
                .is_ok_and(|values| values.iter().all(is_erased))
        };
        let own = poll::wait_until(path, UNTIL_ERASED, own, erased).await??;
        assert_absent(words, path, json!(own).to_string().as_bytes())?;
        listed.extend(
            own.iter()
                .filter_map(|value| value["id"].as_str().map(str::to_owned)),
        );
    }
    for place in whole
        .places()
        .into_iter()
        .filter(|text| *text != whole.task)
    {
        let id = place.rsplit('/').next().context("no id")?;
        ensure!(
            listed.iter().any(|text| text == id),
            "{place} is in no list"
        );
    }
    Ok(())
}

async fn own_rows(client: &TestClient, path: &str, whole: &WorkflowRecord) -> Result<Vec<Value>> {
    let list = client.get(path).await?;
    ensure!(list.status == 200, "{path}: {list:?}");
    let rows = list.json().as_array().cloned().unwrap_or_default();
    let patient = json!(whole.patient);
    Ok(rows
        .into_iter()
        .filter(|row| row["patient_id"] == patient)
        .collect())
}

fn is_erased(resource: &Value) -> bool {
    resource["phi"] == "erased"
}

/// Changes the study and adds to the report, and checks that the responses contain no PHI.
async fn still_moves(client: &TestClient, whole: &WorkflowRecord, words: &[String]) -> Result<()> {
    let ended = json!({ "ended_at": "2026-01-31T09:00:00Z" });
    let study = client.patch(&whole.study, &ended).await?;
    let addendum = json!({ "content": "seen again", "kind": "addition" });
    let addendum = whole
        .reader
        .post(&format!("{}/addenda", whole.report), &addendum)
        .await?;
    for (answer, status) in [(study, 200), (addendum, 201)] {
        let moved = answer.status == status && is_erased(&answer.json());
        ensure!(moved, "{answer:?}");
        assert_absent(words, "an answer", answer.text.as_bytes())?;
    }
    Ok(())
}
