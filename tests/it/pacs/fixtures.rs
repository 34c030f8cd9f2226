//! What stories of studies begin with.

use std::time::Duration;

use anyhow::Result;
use roentgen_commands::policies::POLICIES;
use roentgen_tests::{EngineKind, TestResponse, poll};
use serde_json::{Value, json};

use crate::test_app::{TestApp, fresh, with};

/// How long all that follows from a command may take, on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the viewer of the stories opens a study.
pub(super) const VIEWER: &str = "https://viewer.example/?study={study_instance_uid}&access={token}";

/// A house with an archive, `MAIN`.
pub(crate) async fn archive(engine: EngineKind) -> Result<TestApp> {
    with_archive(TestApp::start(engine).await?).await
}

pub(super) async fn with_archive(house: TestApp) -> Result<TestApp> {
    let endpoint = endpoint("MAIN", json!({ "viewer_launch_url": VIEWER }));
    let created = house.setup().post("/pacs/endpoints", &endpoint).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(house)
}

/// A new endpoint's body with further members.
pub(super) fn endpoint(code: &str, members: Value) -> Value {
    let body = json!({ "code": code, "name": "Main archive", "protocol": "DICOMweb" });
    with(body, members)
}

/// A UID that nobody has used (PS3.5, B.2: 2.25 and a UUID as a number).
pub(super) fn uid() -> String {
    format!("2.25.{}", fresh().as_u128())
}

/// A study's body, of a patient and a UID of its own, with further members.
pub(crate) fn study(members: Value) -> Value {
    let body = json!({
        "pacs_endpoint_code": "MAIN", "study_instance_uid": uid(), "patient_id": fresh(),
        "modality_code": "CT",
    });
    with(body, members)
}

/// So many series with so many instances each.
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

/// Tells of a study, sees it accepted, and waits until all that follows from it is done.
pub(crate) async fn sync(house: &TestApp, body: &Value) -> Result<TestResponse> {
    let answer = house.setup().post("/pacs/studies/sync", body).await?;
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    quiet(house).await?;
    Ok(answer)
}

/// Waits until all that follows from what was commanded is done.
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

/// Where a study is.
pub(super) fn place(study: &TestResponse) -> String {
    format!("/pacs/studies/{}", study.text_at("/id"))
}

/// The types of a stream's events, in order.
pub(super) async fn trail(house: &TestApp, stream: &str) -> Result<Vec<String>> {
    let path = format!("/events?stream_id={stream}");
    let events = house.client.get(&path).await?.lines();
    let types = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned());
    Ok(types.collect())
}
