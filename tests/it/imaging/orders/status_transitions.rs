//! Status transitions of an order.

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    goes_forward_and_never_back,
    update_event_contains_all_changes,
    heeds_if_match,
    appends_nothing_where_nothing_changes,
    is_cancelled_by_who_may_cancel_and_changed_by_who_may_perform,
);

const STATUSES: [&str; 5] = [
    "requested",
    "scheduled",
    "in_progress",
    "completed",
    "cancelled",
];

/// From each status (a row) to each (a column): `+` appends an event, `=` changes nothing, `-` is rejected.
const TABLE: [&str; 5] = ["=++++", "-=+++", "--=++", "---=-", "----="];

async fn goes_forward_and_never_back(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (from, row) in STATUSES.into_iter().zip(TABLE) {
        for (to, step) in STATUSES.into_iter().zip(row.chars()) {
            let place = house.create_order_in_status(from).await?;
            let before = log_head(&house.client).await?;
            let body = json!({ "status": to });
            let moved = house.client.patch(&place, &body).await?;
            let said = format!("{from} -> {to}: {moved:?}");
            if step == '-' {
                assert_problem(&moved, ProblemCode::TransitionRefused, &said);
            } else {
                assert_eq!(moved.status, 200, "{said}");
                assert_eq!(moved.text_at("/status"), to, "{said}");
            }
            let appended = log_head(&house.client).await? - before;
            assert_eq!(appended, u64::from(step == '+'), "{said}");
            let read = house.client.get(&place).await?;
            let is = if step == '-' { from } else { to };
            assert_eq!(read.text_at("/status"), is, "{said}");
        }
    }
    Ok(())
}

async fn update_event_contains_all_changes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("requested").await?;
    let (slot, patch) = (fresh(), async |body| {
        house.client.patch(&place, &body).await
    });
    let scheduled = patch(json!({ "status": "scheduled", "scheduled_slot_id": slot })).await?;
    assert_eq!(scheduled.header("etag"), "\"2\"");
    let start = "2026-01-31T08:00:00.000Z";
    let end = "2026-01-31T08:20:00.000Z";
    patch(json!({ "status": "in_progress", "performed_start_at": start })).await?;
    let ended =
        json!({ "status": "completed", "performed_end_at": end, "metadata": { "dose": 2 } });
    let completed = patch(ended).await?;
    let order = completed.json();
    assert_eq!(order["scheduled_slot_id"], json!(slot));
    assert_eq!(
        [&order["performed_start_at"], &order["performed_end_at"]],
        [start, end]
    );
    assert_eq!(order["metadata"], json!({ "dose": 2 }));
    assert_eq!(
        completed.header("etag"),
        "\"5\"",
        "metadata and step are two events"
    );
    assert_eq!(house.client.get(&place).await?.text, completed.text);

    let place = house.create_order_in_status("in_progress").await?;
    let called_off = json!({ "status": "cancelled", "cancellation_reason": "claustrophobia" });
    let cancelled = house.client.patch(&place, &called_off).await?;
    assert_eq!(cancelled.text_at("/cancellation_reason"), "claustrophobia");
    assert!(
        !cancelled.text_at("/performed_start_at").is_empty(),
        "it had been begun"
    );
    assert_eq!(house.client.get(&place).await?.text, cancelled.text);
    Ok(())
}

async fn heeds_if_match(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("requested").await?;
    let scheduled = json!({ "status": "scheduled" }).to_string();
    let seen = |text: &str| house.client.with("if-match", text);
    for (stale, code) in [
        ("\"2\"", ProblemCode::VersionMismatch),
        ("\"0\"", ProblemCode::VersionMismatch),
        ("1", ProblemCode::InvalidHeader),
        ("\"x\"", ProblemCode::InvalidHeader),
        ("W/\"1\"", ProblemCode::InvalidHeader),
        ("", ProblemCode::InvalidHeader),
    ] {
        let refused = RejectedRequest::patch(&place, scheduled.clone(), code);
        assert_all_rejected(&seen(stale), vec![refused]).await?;
    }
    let body = house.order().to_string();
    let new = RejectedRequest::post("/imaging/orders", body, ProblemCode::VersionMismatch);
    assert_all_rejected(&seen("\"1\""), vec![new]).await?;
    let patch =
        async |text: &str, body: &str| seen(text).send(Method::PATCH, &place, body.into()).await;
    let moved = patch("\"1\"", &scheduled).await?;
    assert_eq!(
        (moved.status, moved.header("etag")),
        (200, "\"2\"".to_owned()),
        "{moved:?}"
    );
    let again = patch("\"1\"", &scheduled).await?;
    assert_problem(
        &again,
        ProblemCode::VersionMismatch,
        "a version that is past",
    );
    let any = patch("*", r#"{"status":"in_progress"}"#).await?;
    assert_eq!(
        (any.status, any.header("etag")),
        (200, "\"3\"".to_owned()),
        "{any:?}"
    );
    Ok(())
}

async fn appends_nothing_where_nothing_changes(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let told = json!({ "metadata": { "a": 1 } });
    let place = house.create_order(told.clone()).await?.header("location");
    let slot = json!({ "status": "scheduled", "scheduled_slot_id": fresh() });
    let moved = house.client.patch(&place, &slot).await?;
    let before = log_head(&house.client).await?;
    let only_slot = json!({ "scheduled_slot_id": slot["scheduled_slot_id"] });
    for same in [json!({}), slot, told, only_slot] {
        let same = house.client.patch(&place, &same).await?;
        assert_eq!((same.status, &same.text), (200, &moved.text));
        assert_eq!(same.header("etag"), moved.header("etag"));
        assert!(same.number("log-position") >= moved.number("log-position"));
    }
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}

async fn is_cancelled_by_who_may_cancel_and_changed_by_who_may_perform(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let place = house.create_order_in_status("requested").await?;
    let clinician = house.caller("clinician")?;
    let technologist = house.caller("technologist")?;
    let before = log_head(&house.client).await?;
    for beside in [
        json!({ "metadata": { "a": 1 } }),
        json!({ "scheduled_slot_id": fresh() }),
        json!({ "performed_start_at": "2026-01-31T08:15:00Z" }),
    ] {
        let both = with(json!({ "status": "cancelled" }), beside.clone());
        let said = both.to_string();
        assert_problem(
            &clinician.patch(&place, &both).await?,
            ProblemCode::Forbidden,
            &said,
        );
        assert_problem(
            &technologist.patch(&place, &both).await?,
            ProblemCode::Forbidden,
            &said,
        );
        assert_problem(
            &clinician.patch(&place, &beside).await?,
            ProblemCode::Forbidden,
            &said,
        );
    }
    assert_eq!(log_head(&house.client).await?, before);
    let cancelled = json!({ "status": "cancelled", "cancellation_reason": "moved away" });
    assert_eq!(clinician.patch(&place, &cancelled).await?.status, 200);
    Ok(())
}
