//! Rejected bodies: nothing is appended, and none of their content is logged or returned.

use anyhow::Result;
use roentgen_api::problem::ProblemCode::{
    self, BodyTooLarge, InvalidBody, MalformedJson, Unacceptable,
};
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use crate::assertions::{RejectedRequest, assert_problem, send_rejected};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    what_is_no_json_of_the_shape,
    what_is_not_acceptable,
    changes_that_do_not_belong_together,
    what_is_too_large,
);

const ORDERS: &str = "/imaging/orders";
/// Text that occurs in every body of these tests and nowhere else.
const WORD: &str = "wombat-zyx";

fn post(body: impl Into<Vec<u8>>, code: ProblemCode) -> RejectedRequest<'static> {
    RejectedRequest::post(ORDERS, body, code)
}

/// Checks that all requests are rejected and that neither the responses nor the log contain [`WORD`].
async fn all_refused_unheard(house: &TestApp, refused: Vec<RejectedRequest<'_>>) -> Result<()> {
    for answer in send_rejected(&house.client, refused).await? {
        assert!(!answer.text.contains(WORD), "{answer:?}");
    }
    let log = house.server.logged()?;
    assert!(!log.contains(WORD), "{log}");
    Ok(())
}

async fn what_is_no_json_of_the_shape(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "debug"]).await?;
    let id = fresh();
    let procedure = &house.procedure;
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let order = |members: &str| {
        format!(r#"{{"patient_id":"{id}","imaging_procedure_id":"{procedure}",{members}}}"#)
    };
    let not_utf8 = [order("\"indication\":\"").as_bytes(), b"\xff\xfe\"}"].concat();
    let in_order = json!([
        id, null, null, null, null, procedure, WORD, "stat", null, null, null, null, null
    ]);
    let patient_in_order = format!(r#""indication":"x","patient":["{WORD}","b","c",null,null]"#);
    let shape =
        |members: &str, at: &'static [&'static str]| post(order(members), InvalidBody).at(at);
    let refused = vec![
        post("", MalformedJson),
        post("{", MalformedJson),
        post(WORD, MalformedJson),
        post(
            order(&format!(r#""indication":"{WORD}""#)) + WORD,
            MalformedJson,
        ),
        post(order(&format!(r#""indication":"{WORD}"#)), MalformedJson),
        post(
            format!("\u{feff}{}", order(r#""indication":"x""#)),
            MalformedJson,
        ),
        post(not_utf8, MalformedJson),
        post(
            order(&format!(
                r#""indication":"{WORD}","metadata":{{"a":{deep}}}"#
            )),
            Unacceptable,
        )
        .at(&["/metadata"]),
        post(deep, InvalidBody),
        post("null", InvalidBody),
        post("[]", InvalidBody),
        post(format!("\"{WORD}\""), InvalidBody),
        post(serde_json::to_vec(&in_order)?, InvalidBody),
        shape(&patient_in_order, &["/patient"]),
        shape(r#""indication":5"#, &["/indication"]),
        shape(r#""indication":["wombat-zyx"]"#, &["/indication"]),
        shape(r#""encounter_id":"wombat-zyx""#, &["/encounter_id"]),
        shape(r#""encounter_id":17"#, &["/encounter_id"]),
        shape(r#""metadata":["wombat-zyx"]"#, &["/metadata"]),
        shape(r#""metadata":"wombat-zyx""#, &["/metadata"]),
        shape(r#""patient":"wombat-zyx""#, &["/patient"]),
        shape(r#""patient":{"mrn":17}"#, &["/patient/mrn"]),
        shape(r#""patient":{"mrm":"wombat-zyx"}"#, &["/patient"]),
        shape(
            r#""patient":{"mrn":"a","mrn":"wombat-zyx"}"#,
            &["/patient/mrn"],
        ),
        shape(r#""indicaton":"wombat-zyx""#, &[""]),
        shape(r#""status":"requested""#, &[""]),
        shape(
            r#""indication":"a","indication":"wombat-zyx""#,
            &["/indication"],
        ),
        shape(r#""a/b~c":1"#, &[""]),
    ];
    all_refused_unheard(&house, refused).await
}

async fn what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "debug"]).await?;
    let with = |members: Value| {
        let body = serde_json::to_vec(&house.order_with(members)).unwrap_or_default();
        post(body, Unacceptable)
    };
    let raw = |text: &str| {
        let body = house
            .order()
            .to_string()
            .replace("rule out acute stroke", text);
        post(body, Unacceptable)
    };
    let long = format!("{WORD}{}", "x".repeat(100 * 1024));
    let much = format!("{WORD}{}", "x".repeat(60 * 1024));
    let nul = format!("{WORD}\0");
    let many = json!({ "indication": " \t\n", "priority": "now", "requested_at": "2026-02-30T00:00:00Z",
        "accession_number": "12345678901234567", "metadata": { "a": nul },
        "patient": { "mrn": nul, "birth_date": "1999-02-29", "sex": "wombat-zyx" } });
    let all = &[
        "/indication",
        "/priority",
        "/requested_at",
        "/accession_number",
        "/metadata",
        "/patient/mrn",
        "/patient/birth_date",
        "/patient/sex",
    ];
    let refused = vec![
        post("{}", Unacceptable).at(&["/patient_id", "/imaging_procedure_id", "/indication"]),
        with(json!({ "patient_id": null })).at(&["/patient_id"]),
        with(json!({ "indication": "" })).at(&["/indication"]),
        with(json!({ "indication": long })).at(&["/indication"]),
        with(json!({ "indication": nul })).at(&["/indication"]),
        with(json!({ "metadata": { "a": { "b": [nul] } } })).at(&["/metadata"]),
        with(json!({ "metadata": { "a": [{ "wombat-zyx\0": 1 }] } })).at(&["/metadata"]),
        with(json!({ "metadata": { "a": much, "b": much } })).at(&["/metadata"]),
        with(json!({ "requested_at": "yesterday" })).at(&["/requested_at"]),
        with(json!({ "requested_at": "2026-01-31" })).at(&["/requested_at"]),
        with(json!({ "accession_number": "A\\B" })).at(&["/accession_number"]),
        with(json!({ "accession_number": "PACSEndpoint:CT1" })).at(&["/accession_number"]),
        with(many).at(all),
        with(
            json!({ "indication": much, "metadata": { "a": much }, "patient":
            { "mrn": much, "family_name": much, "given_name": much } }),
        ),
        raw(r"wombat-zyx \ud800"),
        raw(r"wombat-zyx \udc00 x"),
        raw(r"\ud800\ud800"),
        raw(r#"x","metadata":{"wombat-zyx \udfff":1},"priority":"stat"#),
        raw(r#"x","metadata":{"a":["wombat-zyx \ud83d"]},"priority":"stat"#),
    ];
    all_refused_unheard(&house, refused).await
}

async fn changes_that_do_not_belong_together(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "debug"]).await?;
    let place = house.create_order_in_status("scheduled").await?;
    let patch = |body: Value| RejectedRequest::patch(&place, body.to_string(), Unacceptable);
    let early = "2026-01-31T08:00:00Z";
    let late = "2026-01-31T09:00:00Z";
    let backwards =
        json!({ "status": "completed", "performed_start_at": late, "performed_end_at": early });
    let refused = vec![
        patch(json!({ "status": "begun" })).at(&["/status"]),
        patch(json!({ "status": "" })).at(&["/status"]),
        patch(backwards).at(&["/performed_start_at"]),
        patch(json!({ "performed_start_at": early })).at(&["/performed_start_at"]),
        patch(json!({ "status": "in_progress", "performed_end_at": late }))
            .at(&["/performed_end_at"]),
        patch(json!({ "cancellation_reason": WORD })).at(&["/cancellation_reason"]),
        patch(json!({ "status": null })).at(&["/status"]),
        patch(json!({ "status": "in_progress", "performed_start_at": null }))
            .at(&["/performed_start_at"]),
        patch(json!({ "status": "completed", "performed_end_at": null }))
            .at(&["/performed_end_at"]),
        patch(json!({ "status": "in_progress", "performed_start_at": "noon" }))
            .at(&["/performed_start_at"]),
        RejectedRequest::patch(&place, r#"{"scheduled_slot_id":"wombat-zyx"}"#, InvalidBody)
            .at(&["/scheduled_slot_id"]),
        RejectedRequest::patch(&place, r#"{"indication":"wombat-zyx"}"#, InvalidBody).at(&[""]),
        RejectedRequest::patch(&place, r#"["completed"]"#, InvalidBody),
    ];
    all_refused_unheard(&house, refused).await
}

async fn what_is_too_large(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let body = |length: usize| {
        let mut body = house.order().to_string().into_bytes();
        body.resize(length, b' ');
        body
    };
    let refused = vec![
        post(body(512 * 1024 + 1), BodyTooLarge),
        post(body(10_000_000), BodyTooLarge),
        post(body(40_000_000), BodyTooLarge),
    ];
    all_refused_unheard(&house, refused).await?;
    for (length, status) in [(100_000, 201), (512 * 1024, 201), (10_000_000, 413)] {
        let chunked = house.client.post_chunked(ORDERS, body(length)).await?;
        assert_eq!(chunked.status, status, "{length}: {chunked:?}");
        if status == 413 {
            assert_problem(&chunked, BodyTooLarge, "a body of unknown length");
        }
    }
    let long = house.client.with("x-long", &"a".repeat(70_000));
    assert_eq!(long.get(ORDERS).await?.status, 431);
    assert_eq!(house.client.get(ORDERS).await?.ids().len(), 2);
    Ok(())
}
