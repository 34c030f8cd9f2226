//! `/imaging-ai/outputs`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};

use super::{OUTPUTS, TASKS, a_task, moved};
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    are_kept_as_they_are_and_never_change,
    are_taken_until_a_task_has_failed_or_was_cancelled,
    are_listed_by_every_filter,
    say_where_a_payload_is_wrong,
    are_sealed_but_for_a_triages_score_and_flags,
    come_once_under_a_key,
    fit_into_an_event,
    another_tenants_are_not_there,
);

const TYPES: [&str; 7] = [
    "triage",
    "quality",
    "finding_list",
    "bbox",
    "segmentation",
    "suggested_report",
    "comparison",
];

fn payload(output_type: &str) -> Value {
    match output_type {
        "triage" => {
            json!({ "triage_score": 0.92, "flags": ["ICH_suspected", "mass_effect"], "wombat": "mass" })
        }
        "quality" => json!({ "score": 0.8, "issues": ["wombat motion"] }),
        "finding_list" => {
            json!({ "findings": [{ "label": "wombat nodule", "confidence": 0.5, "location": { "lobe": 1 } }] })
        }
        "bbox" => {
            json!({ "boxes": [{ "x": 1, "y": 2.5, "width": 3, "height": 4, "label": "wombat" }] })
        }
        "segmentation" => json!({ "reference": "wombat://1" }),
        "suggested_report" => {
            json!({ "findings": "wombat lungs clear", "further": [1, null, { "a": true }] })
        }
        "comparison" => {
            json!({ "summary": "wombat unchanged", "prior_study_instance_uid": "1.2.3" })
        }
        other => panic!("{other} is no type"),
    }
}

fn output(task: &str, output_type: &str) -> Value {
    json!({ "imaging_ai_task_id": task, "output_type": output_type, "payload": payload(output_type) })
}

async fn kept(house: &TestApp, task: &str, output_type: &str) -> Result<TestResponse> {
    let kept = house
        .client
        .post(OUTPUTS, &output(task, output_type))
        .await?;
    assert_eq!(kept.status, 201, "{kept:?}");
    Ok(kept)
}

async fn are_kept_as_they_are_and_never_change(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let before = log_head(&house.client).await?;
    for (n, output_type) in TYPES.into_iter().enumerate() {
        let created = kept(&house, &task, output_type).await?;
        let value = created.json();
        assert_eq!(
            (&value["payload"], &value["phi"]),
            (&payload(output_type), &json!("open"))
        );
        assert_eq!(
            (&value["output_type"], &value["task_type"]),
            (&json!(output_type), &json!("triage"))
        );
        assert_eq!(value["imaging_ai_task_id"], json!(task));
        let place = created.header("location");
        assert_eq!(place, format!("{OUTPUTS}/{}", created.text_at("/id")));
        moved(&house, &task, "running").await?;
        let read = house.client.get(&place).await?;
        assert_eq!(
            (&read.text, read.header("etag")),
            (&created.text, created.header("etag"))
        );
        let now = created.header("log-position");
        let then = house.client.get(&format!("{place}?as_of={now}")).await?;
        assert_eq!(then.text, created.text);
        let too_early = house.client.get(&format!("{place}?as_of={before}")).await?;
        assert_eq!(too_early.status, 404, "{too_early:?}");
        let task = house.client.get(&format!("{TASKS}/{task}")).await?;
        assert_eq!(task.json()["number_of_outputs"], json!(n + 1));
        assert_eq!(task.text_at("/latest_output_id"), created.text_at("/id"));
    }
    Ok(())
}

async fn are_taken_until_a_task_has_failed_or_was_cancelled(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (status, taken) in [
        ("queued", true),
        ("running", true),
        ("completed", true),
        ("failed", false),
        ("cancelled", false),
    ] {
        let task = a_task(&house).await?;
        moved(&house, &task, status).await?;
        let body = output(&task, "quality");
        if taken {
            kept(&house, &task, "quality").await?;
        } else {
            let refused =
                RejectedRequest::post(OUTPUTS, body.to_string(), ProblemCode::TransitionRefused);
            assert_all_rejected(&house.client, vec![refused]).await?;
        }
    }
    Ok(())
}

async fn are_listed_by_every_filter(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let one = a_task(&house).await?;
    let other = a_task(&house).await?;
    let study = house
        .client
        .get(&format!("{TASKS}/{one}"))
        .await?
        .text_at("/imaging_study_id");
    let mut ids = Vec::new();
    for (task, output_type) in [(&one, "triage"), (&one, "bbox"), (&other, "triage")] {
        ids.push(kept(&house, task, output_type).await?.json());
    }
    for (query, expected) in [
        (String::new(), vec![2, 1, 0]),
        (format!("imaging_ai_task_id={one}"), vec![1, 0]),
        (format!("imaging_study_id={study}"), vec![1, 0]),
        (
            format!("imaging_study_id={study}&output_type=bbox"),
            vec![1],
        ),
        ("output_type=Triage".to_owned(), vec![2, 0]),
        (
            format!("imaging_ai_task_id={other}&imaging_study_id={study}"),
            vec![],
        ),
        ("output_type=comparison".to_owned(), vec![]),
    ] {
        let listed = house.client.get(&format!("{OUTPUTS}?{query}")).await?;
        let expected: Vec<&Value> = expected
            .into_iter()
            .map(|expected: usize| &ids[expected])
            .collect();
        assert_eq!(listed.json(), json!(expected), "{query}");
        let mut paged = Vec::new();
        let mut next = Some(format!("{OUTPUTS}?limit=1&{query}"));
        while let Some(path) = next {
            let page = house.client.get(&path).await?;
            paged.extend(page.ids());
            next = page.next_page();
        }
        assert_eq!(paged, listed.ids(), "{query}");
    }
    Ok(())
}

async fn say_where_a_payload_is_wrong(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let post = |output_type: &str, payload: Value, code: ProblemCode| {
        let body =
            json!({ "imaging_ai_task_id": task, "output_type": output_type, "payload": payload });
        RejectedRequest::post(OUTPUTS, body.to_string(), code)
    };
    let bad = ProblemCode::Unacceptable;
    let finding = json!({ "findings": [{ "label": "a", "confidence": 1.5 }] });
    let unknown = json!({ "imaging_ai_task_id": fresh(), "output_type": "quality", "payload": { "score": 1 } });
    let refused = vec![
        RejectedRequest::post(OUTPUTS, "{}", bad).at(&[
            "/imaging_ai_task_id",
            "/output_type",
            "/payload",
        ]),
        RejectedRequest::post(OUTPUTS, unknown.to_string(), ProblemCode::ReferenceNotFound)
            .at(&["/imaging_ai_task_id"]),
        post("heatmap", json!({}), bad).at(&["/output_type"]),
        post("triage", json!({}), bad).at(&["/payload/triage_score", "/payload/flags"]),
        post("triage", json!({ "triage_score": 2, "flags": [""] }), bad)
            .at(&["/payload/triage_score", "/payload/flags/0"]),
        post("finding_list", finding, bad).at(&["/payload/findings/0/confidence"]),
        post("bbox", json!({ "boxes": [1] }), bad).at(&["/payload/boxes/0"]),
        post("comparison", json!({ "summary": "x", "more": "a\0" }), bad).at(&["/payload"]),
        post("quality", json!([1]), ProblemCode::InvalidBody).at(&["/payload"]),
        RejectedRequest::get(
            "/imaging-ai/outputs?output_type=heatmap",
            ProblemCode::InvalidParameter,
        ),
    ];
    assert_all_rejected(&house.client, refused).await
}

/// In the feed without PHI, a payload shows only the score and flags of a triage.
async fn are_sealed_but_for_a_triages_score_and_flags(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    for output_type in TYPES {
        kept(&house, &task, output_type).await?;
    }
    let feed = format!("/events?stream_id={task}&types=ImagingAI.OutputCreated");
    let sealed = house.client.get(&feed).await?;
    assert!(!sealed.text.contains("wombat"), "{sealed:?}");
    let triage = &sealed.lines()[0]["data"];
    assert_eq!(
        triage["payload"],
        json!({ "triage_score": 0.92, "flags": ["ICH_suspected", "mass_effect"] })
    );
    let open = house.client.get(&format!("{feed}&phi=true")).await?;
    for (line, output_type) in open.lines().iter().zip(TYPES).skip(1) {
        assert_eq!(line["data"]["payload"], payload(output_type), "{line}");
    }
    assert_eq!(
        open.lines()[0]["data"]["further"],
        json!({ "wombat": "mass" })
    );
    let task = house.client.get(&format!("{TASKS}/{task}")).await?;
    assert!(!task.text.contains("wombat"), "{task:?}");
    Ok(())
}

async fn come_once_under_a_key(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let keyed = house.client.with("idempotency-key", "k");
    let first = keyed.post(OUTPUTS, &output(&task, "quality")).await?;
    kept(&house, &task, "bbox").await?;
    moved(&house, &task, "failed").await?;
    let before = log_head(&house.client).await?;
    let again = keyed.post(OUTPUTS, &output(&task, "quality")).await?;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(log_head(&house.client).await?, before);
    let other = keyed.post(OUTPUTS, &output(&task, "bbox")).await?;
    assert_eq!(
        other.code(),
        ProblemCode::IdempotencyKeyReused.as_str(),
        "{other:?}"
    );
    Ok(())
}

async fn fit_into_an_event(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let body = |chunks: usize| {
        let chunks = vec!["x".repeat(1000); chunks];
        json!({ "imaging_ai_task_id": task, "output_type": "comparison",
            "payload": { "summary": "x", "chunks": chunks } })
    };
    let large = house.client.post(OUTPUTS, &body(257)).await?;
    assert_eq!(large.status, 201, "{:?}", large.headers);
    let read = house.client.get(&large.header("location")).await?;
    assert!(read.text == large.text, "comes back whole");
    let refused = RejectedRequest::post(OUTPUTS, body(258).to_string(), ProblemCode::Unacceptable)
        .at(&["/payload"]);
    assert_all_rejected(&house.client, vec![refused]).await
}

async fn another_tenants_are_not_there(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let place = kept(&house, &task, "quality").await?.header("location");
    let stranger = TestClient::dev(&house.server.base, fresh());
    let refused = vec![
        RejectedRequest::get(&place, ProblemCode::NotFound),
        RejectedRequest::post(
            OUTPUTS,
            output(&task, "triage").to_string(),
            ProblemCode::ReferenceNotFound,
        ),
    ];
    assert_all_rejected(&stranger, refused).await?;
    assert_eq!(stranger.get(OUTPUTS).await?.json(), json!([]));
    let unknown = format!("{OUTPUTS}/{}", fresh());
    assert_all_rejected(
        &house.client,
        vec![RejectedRequest::get(&unknown, ProblemCode::NotFound)],
    )
    .await
}
