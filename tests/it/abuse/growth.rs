//! Unlimited growth of a resource: the unencrypted bytes of a stream and the content of a resource are bounded, and
//! existing content is still readable at the bound.

use anyhow::{Result, ensure};
use roentgen_api::problem::ProblemCode;
use roentgen_domain::growth::{MAX_PAYLOAD_BYTES, MAX_SHOWN_BYTES};
use roentgen_tests::{EngineKind, TestResponse};
use serde_json::json;

use super::rows::a_report;
use crate::assertions::assert_problem;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    changes_in_the_open_end_at_the_bound_of_bytes,
    addenda_end_where_the_report_would_show_too_much,
);

const LARGE: usize = 60_000;

/// Sends requests until one is rejected, and returns the number of accepted ones.
async fn until_refused(
    status: u16,
    bound: u64,
    ask: impl AsyncFn(usize) -> Result<TestResponse>,
) -> Result<usize> {
    let most = usize::try_from(bound)? / LARGE * 5 / 4;
    for n in 0..most {
        let answer = ask(n).await?;
        if answer.status != status {
            assert_problem(&answer, ProblemCode::TooLarge, "beyond the bound");
            return Ok(n);
        }
    }
    anyhow::bail!("{most} times were not refused");
}

async fn changes_in_the_open_end_at_the_bound_of_bytes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let template = json!({ "code": "LONG", "name": "Long", "template_type": "free_text" });
    let template = house
        .setup()
        .post("/radiology/templates", &template)
        .await?;
    ensure!(template.status == 201, "{template:?}");
    let place = template.header("location");
    let changed = until_refused(200, MAX_PAYLOAD_BYTES, async |n| {
        let text = format!("{n} {}", "x".repeat(LARGE));
        let change = json!({ "default_text": text });
        house.client.patch(&place, &change).await
    });
    let changed = changed.await?;
    let read = house.client.get(&place).await?;
    ensure!(read.json()["version"] == changed + 1, "{changed} changes");
    Ok(())
}

/// The row is rewritten with each addendum.
async fn addenda_end_where_the_report_would_show_too_much(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let report = a_report(&house).await?;
    let place = &report.place;
    let client = &report.client;
    let signing = format!("{place}/sign");
    let finally = json!({ "final": true });
    let signed = client.post(&signing, &finally).await?;
    ensure!(signed.status == 200, "{signed:?}");
    let adding = format!("{place}/addenda");
    let added = until_refused(201, MAX_SHOWN_BYTES, async |n| {
        let content = format!("{n} {}", "x".repeat(LARGE));
        client.post(&adding, &json!({ "content": content })).await
    });
    let added = added.await?;
    let shown = client.get(&adding).await?.json();
    let shown = shown.as_array().map(Vec::len);
    ensure!(shown == Some(added), "{shown:?} of {added}");
    assert_match_log(&house.database).await?;
    Ok(())
}
