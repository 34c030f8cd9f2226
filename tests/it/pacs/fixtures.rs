//! Fixtures of the tests of studies.

use std::time::Duration;

use anyhow::Result;
use roentgen_commands::policies::POLICIES;
use roentgen_tests::{EngineKind, TestResponse, poll};
use serde_json::{Value, json};

use crate::test_app::{TestApp, fresh, with};

/// Time limit for all effects of a command, on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// URL template with which the viewer opens a study.
pub(super) const VIEWER: &str = "https://viewer.example/?study={study_instance_uid}&access={token}";

/// Creates a test app with a PACS endpoint, `MAIN`.
pub(crate) async fn archive(engine: EngineKind) -> Result<TestApp> {
    with_archive(TestApp::start(engine).await?).await
}

pub(super) async fn with_archive(house: TestApp) -> Result<TestApp> {
    let endpoint = endpoint("MAIN", json!({ "viewer_launch_url": VIEWER }));
    let created = house.setup().post("/pacs/endpoints", &endpoint).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(house)
}

/// Returns the body of a new endpoint with additional members.
pub(super) fn endpoint(code: &str, members: Value) -> Value {
    let body = json!({ "code": code, "name": "Main archive", "protocol": "DICOMweb" });
    with(body, members)
}

/// Returns an unused UID (PS3.5, B.2: 2.25 and a UUID as a number).
pub(super) fn uid() -> String {
    format!("2.25.{}", fresh().as_u128())
}

/// Returns the body of a study with a new patient and a new UID, with additional members.
pub(crate) fn study(members: Value) -> Value {
    let body = json!({
        "pacs_endpoint_code": "MAIN", "study_instance_uid": uid(), "patient_id": fresh(),
        "modality_code": "CT",
    });
    with(body, members)
}

/// Returns this number of series with this number of instances each.
pub(crate) fn series(of: &str, series: usize, instances: usize) -> Value {
    let one = |n: usize| {
        let list = (1..=instances).map(|m| {
            json!({ "sop_instance_uid": format!("{of}.{n}.{m}"),
                "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "instance_number": m })
        });
        json!({ "series_instance_uid": format!("{of}.{n}"), "series_number": n,
            "instances": list.collect::<Vec<_>>() })
    };
    (1..=series).map(one).collect()
}

/// Syncs a study, checks that it was accepted, and waits until the policies are idle.
pub(crate) async fn sync(house: &TestApp, body: &Value) -> Result<TestResponse> {
    let answer = house.setup().post("/pacs/studies/sync", body).await?;
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    quiet(house).await?;
    Ok(answer)
}

/// Waits until the policies are idle.
pub(super) async fn quiet(house: &TestApp) -> Result<()> {
    let named = roentgen_store::database::DatabaseUrl::parse(&house.database.url)?;
    let log = named.connect().await?;
    let lag = async || {
        let checkpoint = log.checkpoint(POLICIES).await?;
        let head = log.head().await?;
        anyhow::Ok(head.position.abs_diff(checkpoint.position))
    };
    let done = |result: &Result<u64>| result.as_ref().is_ok_and(|lag| *lag == 0);
    poll::wait_until("the policies' lag", WAIT_TIMEOUT, lag, done).await??;
    log.close().await;
    Ok(())
}

/// Returns the path of a study.
pub(super) fn place(study: &TestResponse) -> String {
    format!("/pacs/studies/{}", study.text_at("/id"))
}

/// Returns the types of a stream's events, in order.
pub(super) async fn trail(house: &TestApp, stream: &str) -> Result<Vec<String>> {
    let path = format!("/events?stream_id={stream}");
    let events = house.client.get(&path).await?.lines();
    let types = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned());
    Ok(types.collect())
}
