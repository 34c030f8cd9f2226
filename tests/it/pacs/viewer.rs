//! Opening a study in a viewer.

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use std::time::Duration;

use super::fixtures::{archive, endpoint, place, study, sync, with_archive};
use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    a_launch_gives_a_link_and_a_token_that_nobody_keeps,
    a_token_lets_see_its_study_and_no_other,
    the_first_use_is_in_the_audit_trail_and_later_ones_are_not,
    the_api_takes_no_viewer_token_and_the_viewer_no_other,
    a_token_runs_out,
    a_study_without_a_viewer_says_so,
    a_head_leaves_no_trace,
    a_kept_link_carries_no_token,
);

const VERIFY: &str = "/pacs/viewer-tokens/verify";

async fn launch(client: &TestClient, study: &TestResponse) -> Result<TestResponse> {
    let answer = client
        .get(&format!("{}/viewer-launch", place(study)))
        .await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(answer)
}

/// Verifies a token as a proxy does.
async fn verify(base: &str, token: &str, uid: &str) -> Result<TestResponse> {
    let proxy = TestClient::new(base).bearer(token);
    proxy
        .get(&format!("{VERIFY}?study_instance_uid={uid}"))
        .await
}

async fn looks(house: &TestApp) -> Result<Vec<Value>> {
    let events = house
        .client
        .get("/events?types=ImagingStudy.Accessed")
        .await?;
    Ok(events.lines())
}

async fn a_launch_gives_a_link_and_a_token_that_nobody_keeps(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let radiologist = house.caller("radiologist")?;
    let launched = launch(&radiologist, &told).await?;
    assert_eq!(launched.header("cache-control"), "no-store");
    let token = launched.text_at("/viewer_token");
    let uid = told.text_at("/study_instance_uid");
    let shown = launched.json();
    assert_eq!(
        shown["viewer_url"],
        format!("https://viewer.example/?study={uid}&access={token}")
    );
    assert_eq!(launched.text_at("/study_id"), told.text_at("/id"));
    assert!(
        launched.text_at("/expires_at").ends_with("Z"),
        "{launched:?}"
    );

    let events = looks(&house).await?;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"]["kind"], "launched");
    assert_eq!(events[0]["data"]["patient_id"], told.json()["patient_id"]);
    assert_eq!(events[0]["actor"]["roles"], json!(["radiologist"]));
    assert_eq!(events[0]["stream"]["type"], "StudyAccess");
    let read = house.client.get(&place(&told)).await?;
    assert_eq!(read.json(), told.json(), "a look does not change the study");
    let everything = house.client.get("/events?phi=true").await?;
    assert!(!everything.text.contains(&token));
    Ok(())
}

async fn a_token_lets_see_its_study_and_no_other(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let one = sync(&house, &study(json!({}))).await?;
    let other = sync(&house, &study(json!({}))).await?;
    let token = launch(&house.client, &one).await?.text_at("/viewer_token");
    let base = &house.server.base;
    let uid = one.text_at("/study_instance_uid");
    let others = other.text_at("/study_instance_uid");
    assert_eq!(verify(base, &token, &uid).await?.status, 204);
    let nobody = TestClient::new(base);
    let by_query = format!("{VERIFY}?token={token}&study_instance_uid={uid}");
    assert_eq!(nobody.get(&by_query).await?.status, 204);
    assert_eq!(
        nobody
            .get(&format!("{by_query}&tenant_id={}", house.tenant))
            .await?
            .status,
        204
    );
    assert_problem(
        &verify(base, &token, &others).await?,
        ProblemCode::Forbidden,
        "another study",
    );
    let elsewhere = format!("{by_query}&tenant_id={}", fresh());
    assert_problem(
        &nobody.get(&elsewhere).await?,
        ProblemCode::OtherTenant,
        "another tenant",
    );
    let unsaid = format!("{VERIFY}?token={token}");
    assert_problem(
        &nobody.get(&unsaid).await?,
        ProblemCode::InvalidParameter,
        "no study",
    );
    let bare = format!("{VERIFY}?study_instance_uid={uid}");
    assert_problem(
        &nobody.get(&bare).await?,
        ProblemCode::Unauthenticated,
        "no token",
    );
    let broken = &token[..token.len() - 3];
    assert_problem(
        &verify(base, broken, &uid).await?,
        ProblemCode::Unauthenticated,
        "a broken token",
    );

    let neighbour = house.second_server().await?;
    assert_eq!(
        verify(&neighbour.base, &token, &uid).await?.status,
        204,
        "nodes share the key"
    );
    Ok(())
}

async fn the_first_use_is_in_the_audit_trail_and_later_ones_are_not(
    engine: EngineKind,
) -> Result<()> {
    let house = archive(engine).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let uid = told.text_at("/study_instance_uid");
    let radiologist = house.caller("radiologist")?;
    let token = launch(&radiologist, &told).await?.text_at("/viewer_token");
    let neighbour = house.second_server().await?;
    for base in [&house.server.base, &neighbour.base, &house.server.base] {
        assert_eq!(verify(base, &token, &uid).await?.status, 204);
        assert_eq!(verify(base, &token, &uid).await?.status, 204);
    }
    let events = looks(&house).await?;
    let kinds: Vec<&Value> = events.iter().map(|event| &event["data"]["kind"]).collect();
    assert_eq!(kinds, ["launched", "first_used"]);
    assert_eq!(events[0]["data"]["token_id"], events[1]["data"]["token_id"]);
    assert_eq!(
        events[0]["actor"], events[1]["actor"],
        "who launched is who looks"
    );
    let second = launch(&radiologist, &told).await?.text_at("/viewer_token");
    assert_eq!(verify(&house.server.base, &second, &uid).await?.status, 204);
    assert_eq!(looks(&house).await?.len(), 4);
    Ok(())
}

async fn the_api_takes_no_viewer_token_and_the_viewer_no_other(engine: EngineKind) -> Result<()> {
    let house = with_archive(TestApp::start_with_auth(engine).await?).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let token = launch(&house.client, &told).await?.text_at("/viewer_token");
    let viewer = TestClient::new(&house.server.base).bearer(&token);
    for path in ["/pacs/studies", "/imaging/orders", "/events", &place(&told)] {
        assert_problem(&viewer.get(path).await?, ProblemCode::Unauthenticated, path);
    }
    let before = log_head(&house.client).await?;
    let uid = told.text_at("/study_instance_uid");
    let admin = house
        .client
        .get(&format!("{VERIFY}?study_instance_uid={uid}"))
        .await?;
    assert_problem(&admin, ProblemCode::Unauthenticated, "an API token");
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}

async fn a_token_runs_out(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--viewer-token-ttl", "2s"]).await?;
    let house = with_archive(house).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let token = launch(&house.client, &told).await?.text_at("/viewer_token");
    let uid = told.text_at("/study_instance_uid");
    let ask = async || {
        verify(&house.server.base, &token, &uid)
            .await
            .map(|response| response.status)
    };
    let over = |result: &Result<u16>| result.as_ref().is_ok_and(|number| *number == 401);
    let last = poll::wait_until("the token runs out", Duration::from_secs(10), ask, over).await?;
    assert_eq!(last?, 401);
    Ok(())
}

async fn a_head_leaves_no_trace(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let uid = told.text_at("/study_instance_uid");
    let token = launch(&house.client, &told).await?.text_at("/viewer_token");
    let before = log_head(&house.client).await?;
    let launching = format!("{}/viewer-launch", place(&told));
    let verifying = format!("{VERIFY}?study_instance_uid={uid}&token={token}");
    for path in [&launching, &verifying] {
        let answer = house.client.send(Method::HEAD, path, Vec::new()).await?;
        assert_eq!(answer.status, 405, "{path}: {answer:?}");
        assert_eq!(answer.header("allow"), "GET", "{path}: {answer:?}");
    }
    assert_eq!(log_head(&house.client).await?, before);
    assert_eq!(verify(&house.server.base, &token, &uid).await?.status, 204);
    assert_eq!(looks(&house).await?.len(), 2, "a GET leaves its trace");
    Ok(())
}

async fn a_study_without_a_viewer_says_so(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let bare = house
        .setup()
        .post("/pacs/endpoints", &endpoint("BARE", json!({})))
        .await?;
    assert_eq!(bare.status, 201, "{bare:?}");
    let told = sync(&house, &study(json!({ "pacs_endpoint_code": "BARE" }))).await?;
    let at = format!("{}/viewer-launch", place(&told));
    let nowhere = format!("/pacs/studies/{}/viewer-launch", fresh());
    let refused = vec![
        RejectedRequest::get(&at, ProblemCode::ViewerNotConfigured),
        RejectedRequest::get(&nowhere, ProblemCode::NotFound),
    ];
    assert_all_rejected(&house.client, refused).await?;
    let stranger = TestClient::dev(&house.server.base, fresh());
    assert_problem(
        &stranger.get(&at).await?,
        ProblemCode::NotFound,
        "another tenant's study",
    );
    Ok(())
}

async fn a_kept_link_carries_no_token(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let told = sync(&house, &study(json!({}))).await?;
    let at = place(&told);
    let token = launch(&house.client, &told).await?.text_at("/viewer_token");
    let link = |url: String| json!({ "viewer_url": url }).to_string();
    let bad = [
        "https://viewer/?token=x".to_owned(),
        format!("https://viewer/{token}"),
        "https://u:p@viewer/".to_owned(),
        "viewer".to_owned(),
    ];
    let refused = bad.map(|text| {
        RejectedRequest::patch(&at, link(text), ProblemCode::Unacceptable).at(&["/viewer_url"])
    });
    assert_all_rejected(&house.client, refused.into()).await?;
    let kept = json!({ "viewer_url": "https://viewer/?study=1" });
    let changed = house.client.patch(&at, &kept).await?;
    assert_eq!(changed.text_at("/viewer_url"), "https://viewer/?study=1");
    Ok(())
}
