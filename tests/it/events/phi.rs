//! PHI in the feed.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use crate::assertions::assert_problem;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(is_sealed_unless_it_is_asked_for_by_whom_may_read_it);

const WORDS: [&str; 4] = ["wombat-mrn", "wombat-why", "wombat-free", "wombat-reason"];

async fn is_sealed_unless_it_is_asked_for_by_whom_may_read_it(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let told = json!({ "patient": { "mrn": "wombat-mrn" }, "indication": "wombat-why",
        "metadata": { "key": "wombat-free" } });
    let order = house.create_order(told).await?;
    let reason = json!({ "status": "cancelled", "cancellation_reason": "wombat-reason" });
    house
        .client
        .patch(&order.header("location"), &reason)
        .await?;
    let id = order.text_at("/id");
    let sealed = format!("/events?stream_id={id}");
    let open = format!("/events?stream_id={id}&phi=true");
    for role in ["admin", "auditor", "integration"] {
        let caller = house.caller(role)?;
        let page = caller.get(&sealed).await?;
        assert_no_words(&page.text);
        assert_eq!(members(&page.lines(), "phi"), ["sealed", "sealed"]);
        let told = caller.get(&open).await?;
        assert_eq!(members(&told.lines(), "phi"), ["open", "open"]);
        let created = &told.lines()[0]["data"];
        assert_eq!(created["patient"], json!({ "mrn": "wombat-mrn" }));
        assert_eq!(created["indication"], "wombat-why");
        assert_eq!(created["metadata"], json!({ "key": "wombat-free" }));
        assert_eq!(
            told.lines()[1]["data"]["cancellation_reason"],
            "wombat-reason"
        );
    }
    let operator = house.operator()?;
    assert_problem(
        &operator.get("/events?phi=true").await?,
        ProblemCode::Forbidden,
        "operator",
    );
    assert_problem(
        &operator
            .with("accept", "text/event-stream")
            .get("/events?phi=true")
            .await?,
        ProblemCode::Forbidden,
        "SSE",
    );
    let page = operator.get("/events?phi=false").await?;
    assert_no_words(&page.text);
    let catalog = house
        .client
        .get("/events?stream_type=ImagingModality")
        .await?
        .lines();
    assert_eq!(
        members(&catalog, "phi"),
        ["open"],
        "what has no PHI has none to seal"
    );
    assert_no_words(&house.server.logged()?);
    assert_no_words(&house.client.get("/metrics").await?.text);
    Ok(())
}

fn assert_no_words(text: &str) {
    assert!(!WORDS.iter().any(|word| text.contains(word)), "{text}");
}

fn members(events: &[Value], name: &str) -> Vec<String> {
    events
        .iter()
        .map(|event| event[name].as_str().unwrap_or_default().to_owned())
        .collect()
}
