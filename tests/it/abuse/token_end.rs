//! A reader of the log whose token expires while it reads.

use std::time::Duration;

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roentgen_api::problem::ProblemCode;
use roentgen_store::clock;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;
use uuid::Uuid;

use crate::assertions::assert_problem;
use crate::test_app::{SECRET, TestApp, fresh, on_both_engines};

on_both_engines!(ends_a_stream_and_a_reader_that_waits);

/// Time for which an expired token is accepted, from `identity.rs`.
const LEEWAY_SECS: i64 = 30;
/// Maximum duration; a hang takes longer.
const BOUND: Duration = Duration::from_secs(45);

/// Returns a token of an auditor that is accepted for this number of seconds from now.
fn accepted_for(seconds: i64, tenant: Uuid) -> Result<String> {
    let exp = clock::now_ms() / 1000 - LEEWAY_SECS + seconds;
    let claims =
        json!({ "sub": "somebody", "exp": exp, "tenant_id": tenant, "roles": ["auditor"] });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

async fn ends_a_stream_and_a_reader_that_waits(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    house.create_order(json!({})).await?;
    let reader = TestClient::new(&house.server.base).bearer(&accepted_for(8, house.tenant)?);
    let mut feed = reader.listen("/events?phi=true").await?;
    let waiting = reader.with_timeout(BOUND);
    let nothing = format!("/events?stream_id={}&wait=60", fresh());
    let streamed = async {
        let mut last = String::new();
        while let Some(frame) = feed.next().await? {
            last = frame.id;
        }
        anyhow::Ok(last)
    };
    let (last, page) = tokio::join!(tokio::time::timeout(BOUND, streamed), waiting.get(&nothing));
    let last = last.expect("the stream outlives its token")?;
    let page = page?;
    assert_eq!((page.status, page.text.as_str()), (200, ""));
    let refused = reader.get("/events").await?;
    assert_problem(
        &refused,
        ProblemCode::Unauthenticated,
        "the token has ended",
    );

    let created = house.create_order(json!({})).await?;
    let resumed = TestClient::new(&house.server.base).bearer(&accepted_for(600, house.tenant)?);
    let resumed = resumed.with("last-event-id", &last);
    let frame = resumed.listen("/events").await?.next().await?;
    let frame = frame.expect("the feed goes on");
    assert_eq!(frame.id, created.header("log-position"));
    Ok(())
}
