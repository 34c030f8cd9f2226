//! `/imaging-ai/tasks`.

use anyhow::Result;
use futures_util::future::try_join_all;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};

use super::{MODELS, TASKS, a_study, a_task, an_unasked_model, asked, moved};
use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    one_that_is_open_or_completed_is_answered_with_as_it_is,
    a_new_attempt_follows_on_a_failed_or_cancelled_one,
    many_at_once_make_one,
    ask_active_and_capable_models_only,
    move_forward_only,
    status_may_stand_in_the_query,
    status_is_told_once_under_a_key,
    are_listed_by_every_filter,
    refuse_what_is_not_acceptable,
    cancelling_is_for_whom_requests,
    another_tenants_are_not_there,
);

async fn one_that_is_open_or_completed_is_answered_with_as_it_is(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let study = a_study(&house).await?;
    let model = an_unasked_model(&house, "M").await?;
    let body = asked(&study.text_at("/id"), &model, "Triage");
    let created = house.client.post(TASKS, &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let task = created.json();
    assert_eq!(
        (&task["status"], &task["attempt"], &task["task_type"]),
        (&json!("queued"), &json!(1), &json!("triage"))
    );
    assert_eq!(
        (&task["patient_id"], &task["ai_model_code"]),
        (&study.json()["patient_id"], &json!("M"))
    );
    assert_eq!(
        house.client.get(&created.header("location")).await?.text,
        created.text
    );
    let id = created.text_at("/id");
    let mut expected = created;
    for status in ["running", "completed"] {
        let before = log_head(&house.client).await?;
        let again = house.client.post(TASKS, &body).await?;
        assert_eq!((again.status, &again.text), (200, &expected.text));
        assert_eq!(again.header("location"), "");
        assert_eq!(log_head(&house.client).await?, before);
        expected = moved(&house, &id, status).await?;
        assert_eq!(expected.text_at("/status"), status, "{expected:?}");
    }
    let again = house.client.post(TASKS, &body).await?;
    assert_eq!((again.status, &again.text), (200, &expected.text));
    let quality = house
        .client
        .post(TASKS, &asked(&study.text_at("/id"), &model, "quality"))
        .await?;
    assert_eq!(
        quality.status, 201,
        "another type is another task: {quality:?}"
    );
    Ok(())
}

async fn a_new_attempt_follows_on_a_failed_or_cancelled_one(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let study = a_study(&house).await?.text_at("/id");
    let model = an_unasked_model(&house, "M").await?;
    let mut ids = Vec::new();
    for (attempt, ending) in [(1, "failed"), (2, "cancelled"), (3, "completed")] {
        let task = house
            .client
            .post(TASKS, &asked(&study, &model, "triage"))
            .await?;
        assert_eq!(
            (task.status, &task.json()["attempt"]),
            (201, &json!(attempt)),
            "{task:?}"
        );
        moved(&house, &task.text_at("/id"), ending).await?;
        ids.insert(0, task.text_at("/id"));
    }
    let listed = house
        .client
        .get(&format!("{TASKS}?imaging_study_id={study}"))
        .await?;
    assert_eq!(listed.ids(), ids);
    let last = house
        .client
        .post(TASKS, &asked(&study, &model, "triage"))
        .await?;
    assert_eq!((last.status, last.text_at("/id")), (200, ids[0].clone()));
    Ok(())
}

const CONCURRENCY: usize = 32;

async fn many_at_once_make_one(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let study = a_study(&house).await?.text_at("/id");
    let model = an_unasked_model(&house, "M").await?;
    let body = asked(&study, &model, "triage");
    let client = house.client.repeating();
    let answers = try_join_all((0..CONCURRENCY).map(|_| client.post(TASKS, &body))).await?;
    let made = answers
        .iter()
        .filter(|response| response.status == 201)
        .count();
    let found = answers
        .iter()
        .filter(|response| response.status == 200)
        .count();
    assert_eq!((made, found), (1, CONCURRENCY - 1), "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|response| response.text_at("/id") == answers[0].text_at("/id"))
    );
    let created = house
        .client
        .get("/events?types=ImagingAI.TaskCreated")
        .await?;
    let of_model = created
        .lines()
        .into_iter()
        .filter(|created| created["data"]["task_type"] == "triage");
    assert_eq!(of_model.count(), 1);
    Ok(())
}

async fn ask_active_and_capable_models_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let study = a_study(&house).await?.text_at("/id");
    let model = an_unasked_model(&house, "M").await?;
    let retired = an_unasked_model(&house, "RETIRED").await?;
    let retire = json!({ "is_active": false });
    house
        .client
        .patch(&format!("{MODELS}/{retired}"), &retire)
        .await?;
    let post =
        |body: Value, code: ProblemCode| RejectedRequest::post(TASKS, body.to_string(), code);
    let refused = vec![
        post(asked(&study, &retired, "triage"), ProblemCode::Inactive).at(&["/ai_model_id"]),
        post(
            asked(&study, &model, "detection"),
            ProblemCode::Unacceptable,
        )
        .at(&["/task_type"]),
        post(
            asked(&study, &fresh().to_string(), "triage"),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/ai_model_id"]),
        post(
            asked(&fresh().to_string(), &model, "triage"),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/imaging_study_id"]),
        post(
            asked(&model, &study, "triage"),
            ProblemCode::ReferenceNotFound,
        ),
    ];
    assert_all_rejected(&house.client, refused).await?;
    let any = house
        .client
        .post(TASKS, &asked(&study, &model, "triage"))
        .await?;
    assert_eq!(
        any.status, 201,
        "a person may ask any capable model for any study: {any:?}"
    );
    Ok(())
}

async fn move_forward_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for (path, refused) in [
        (
            vec!["running", "completed"],
            vec!["queued", "running", "failed", "cancelled"],
        ),
        (vec!["completed"], vec!["running"]),
        (vec!["failed"], vec!["running", "completed", "cancelled"]),
        (
            vec!["running", "cancelled"],
            vec!["running", "completed", "failed"],
        ),
        (vec!["running"], vec!["queued"]),
    ] {
        let task = a_task(&house).await?;
        for status in &path {
            let answer = moved(&house, &task, status).await?;
            assert_eq!(
                (answer.status, answer.text_at("/status")),
                (200, (*status).to_owned()),
                "{answer:?}"
            );
            let before = log_head(&house.client).await?;
            assert_eq!(moved(&house, &task, status).await?.text, answer.text);
            assert_eq!(log_head(&house.client).await?, before, "{status} again");
        }
        let place = format!("{TASKS}/{task}/status");
        let refused = refused.iter().map(|refused| {
            let body = json!({ "status": refused }).to_string();
            RejectedRequest::patch(&place, body, ProblemCode::TransitionRefused)
        });
        assert_all_rejected(&house.client, refused.collect()).await?;
    }
    Ok(())
}

/// The source system's workers send the status like this: without a body.
async fn status_may_stand_in_the_query(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let patch = async |query: &str, body: &str| {
        let path = format!("{TASKS}/{task}/status?{query}");
        house.client.send(Method::PATCH, &path, body.into()).await
    };
    let running = patch("status=running", "").await?;
    assert_eq!(
        (running.status, running.text_at("/status")),
        (200, "running".to_owned()),
        "{running:?}"
    );
    assert!(!running.text_at("/started_at").is_empty());
    for (query, body, status) in [
        ("", "", 422),
        ("status=done", "", 400),
        ("state=running", "", 400),
        ("status=running", r#"{"status":"running"}"#, 400),
        ("status=completed&error_message=x", "", 422),
        (
            "status=completed&error_message=%20",
            r#"{"error_message":"x"}"#,
            422,
        ),
    ] {
        assert_eq!(patch(query, body).await?.status, status, "{query} {body}");
    }
    let tenant = house.tenant;
    let failed = patch(
        &format!("status=failed&error_message=no+GPU&tenant_id={tenant}"),
        "",
    )
    .await?;
    assert_eq!(failed.text_at("/error_message"), "no GPU", "{failed:?}");
    assert_eq!(
        failed.text_at("/started_at"),
        running.text_at("/started_at")
    );
    assert_eq!(patch("status=failed", "").await?.text, failed.text);
    assert_eq!(
        patch("", r#"{"status":"failed","error_message":"no GPU"}"#)
            .await?
            .text,
        failed.text
    );
    assert_eq!(
        patch("error_message=other", r#"{"status":"failed"}"#)
            .await?
            .status,
        409
    );
    Ok(())
}

async fn status_is_told_once_under_a_key(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let keyed = house.client.with("idempotency-key", "k");
    let path = |status: &str| format!("{TASKS}/{task}/status?status={status}");
    let first = keyed
        .send(Method::PATCH, &path("running"), Vec::new())
        .await?;
    moved(&house, &task, "completed").await?;
    let again = keyed
        .send(Method::PATCH, &path("running"), Vec::new())
        .await?;
    assert_eq!((again.status, &again.text), (200, &first.text));
    let other = keyed
        .send(Method::PATCH, &path("failed"), Vec::new())
        .await?;
    assert_eq!(
        other.code(),
        ProblemCode::IdempotencyKeyReused.as_str(),
        "{other:?}"
    );
    Ok(())
}

async fn are_listed_by_every_filter(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let head_ct = a_study(&house).await?.text_at("/id");
    let chest_ct = a_study(&house).await?.text_at("/id");
    let m = an_unasked_model(&house, "M").await?;
    let n = an_unasked_model(&house, "N").await?;
    let mut ids = Vec::new();
    for (study, model, task_type, status) in [
        (&head_ct, &m, "triage", "completed"),
        (&head_ct, &n, "quality", "failed"),
        (&chest_ct, &m, "quality", "queued"),
    ] {
        let task = house
            .client
            .post(TASKS, &asked(study, model, task_type))
            .await?;
        moved(&house, &task.text_at("/id"), status).await?;
        ids.push(task.text_at("/id"));
    }
    for (query, expected) in [
        (String::new(), vec![2, 1, 0]),
        (format!("imaging_study_id={head_ct}"), vec![1, 0]),
        (format!("imaging_study_id={head_ct}&status=failed"), vec![1]),
        (
            format!("imaging_study_id={head_ct}&ai_model_id={m}&task_type=quality"),
            vec![],
        ),
        (format!("ai_model_id={m}"), vec![2, 0]),
        (format!("ai_model_id={m}&task_type=QUALITY"), vec![2]),
        ("task_type=quality".to_owned(), vec![2, 1]),
        ("status=completed".to_owned(), vec![0]),
        ("task_type=triage&status=queued".to_owned(), vec![]),
    ] {
        let listed = house.client.get(&format!("{TASKS}?{query}")).await?;
        let expected: Vec<&String> = expected
            .into_iter()
            .map(|expected: usize| &ids[expected])
            .collect();
        assert_eq!(listed.ids().iter().collect::<Vec<_>>(), expected, "{query}");
        let mut paged = Vec::new();
        let mut next = Some(format!("{TASKS}?limit=1&{query}"));
        while let Some(path) = next {
            let page = house.client.get(&path).await?;
            paged.extend(page.ids());
            next = page.next_page();
        }
        assert_eq!(paged, listed.ids(), "{query}");
    }
    Ok(())
}

async fn refuse_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let unknown = fresh().to_string();
    let place = format!("{TASKS}/{task}/status");
    let nowhere = format!("{TASKS}/{unknown}/status");
    let whole = asked(&unknown, &unknown, "telepathy").to_string();
    let refused = vec![
        RejectedRequest::post(TASKS, "{}", ProblemCode::Unacceptable).at(&[
            "/imaging_study_id",
            "/ai_model_id",
            "/task_type",
        ]),
        RejectedRequest::post(TASKS, whole, ProblemCode::Unacceptable).at(&["/task_type"]),
        RejectedRequest::post(
            TASKS,
            r#"{"imaging_study_id":"CT"}"#,
            ProblemCode::InvalidBody,
        )
        .at(&["/imaging_study_id"]),
        RejectedRequest::post(TASKS, r#"{"attempt":2}"#, ProblemCode::InvalidBody).at(&[""]),
        RejectedRequest::patch(&place, "{}", ProblemCode::Unacceptable).at(&["/status"]),
        RejectedRequest::patch(&place, r#"{"status":"done"}"#, ProblemCode::Unacceptable)
            .at(&["/status"]),
        RejectedRequest::patch(
            &place,
            r#"{"status":"running","error_message":"x"}"#,
            ProblemCode::Unacceptable,
        )
        .at(&["/error_message"]),
        RejectedRequest::patch(&nowhere, r#"{"status":"running"}"#, ProblemCode::NotFound),
        RejectedRequest::get(
            "/imaging-ai/tasks?status=done",
            ProblemCode::InvalidParameter,
        ),
        RejectedRequest::get(
            "/imaging-ai/tasks?task_type=x",
            ProblemCode::InvalidParameter,
        ),
        RejectedRequest::get("/imaging-ai/tasks?study=x", ProblemCode::InvalidParameter),
    ];
    assert_all_rejected(&house.client, refused).await
}

async fn cancelling_is_for_whom_requests(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    for (role, told, called_off) in [
        ("ai_worker", 200, 403),
        ("radiologist", 403, 200),
        ("integration", 200, 200),
        ("clinician", 403, 403),
    ] {
        let task = a_task(&house).await?;
        let caller: TestClient = house.caller(role)?;
        let place = format!("{TASKS}/{task}/status");
        let running = caller
            .patch(&place, &json!({ "status": "running" }))
            .await?;
        assert_eq!(running.status, told, "{role}: {running:?}");
        let cancelled = caller
            .patch(&place, &json!({ "status": "cancelled" }))
            .await?;
        assert_eq!(cancelled.status, called_off, "{role}: {cancelled:?}");
    }
    Ok(())
}

async fn another_tenants_are_not_there(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let task = a_task(&house).await?;
    let whole = house.client.get(&format!("{TASKS}/{task}")).await?.json();
    let stranger = TestClient::dev(&house.server.base, fresh());
    let place = format!("{TASKS}/{task}");
    let status = format!("{TASKS}/{task}/status");
    let body = asked(
        whole["imaging_study_id"].as_str().unwrap(),
        whole["ai_model_id"].as_str().unwrap(),
        "triage",
    );
    let refused = vec![
        RejectedRequest::get(&place, ProblemCode::NotFound),
        RejectedRequest::patch(&status, r#"{"status":"running"}"#, ProblemCode::NotFound),
        RejectedRequest::post(TASKS, body.to_string(), ProblemCode::ReferenceNotFound),
    ];
    assert_all_rejected(&stranger, refused).await?;
    assert_eq!(stranger.get(TASKS).await?.json(), json!([]));
    Ok(())
}
