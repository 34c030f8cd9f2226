//! Visibility of a report by role.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    REPORTS, a_critical, a_draft, a_signed, all_refused, body, case, images, sign,
    start_with_archive, told,
};
use crate::assertions::{RejectedRequest, assert_problem};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    drafts_are_hidden_without_draft_access,
    a_timeline_shows_of_reports_what_its_reader_sees,
    the_feed_opens_drafts_to_who_sees_drafts_only,
    what_was_told_of_an_unsigned_mark_is_not_released,
    pages_of_released_reports_are_as_full_as_anybodys,
    lists_by_every_filter_what_the_reader_sees,
    a_query_is_taken_strictly,
    who_is_no_practitioner_writes_nothing,
    ai_content_requires_draft_access,
    suggestions_are_judged_where_they_are_about_the_study,
);

async fn drafts_are_hidden_without_draft_access(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let addenda = format!("{place}/addenda");
    let of_study = format!("{REPORTS}?imaging_study_id={}", ours.study);
    for role in ["clinician", "technologist", "integration"] {
        let reader = room.person(role, None)?;
        for path in [&place, &addenda] {
            assert_problem(&reader.get(path).await?, ProblemCode::NotFound, role);
        }
        for list in [REPORTS, &of_study, "/radiology/reports?status=draft"] {
            assert_eq!(reader.get(list).await?.text, "[]", "{role}: {list}");
        }
    }
    let other = TestClient::dev(&room.house.server.base, fresh());
    assert_problem(
        &other.get(&place).await?,
        ProblemCode::NotFound,
        "another tenant",
    );
    for role in ["radiologist", "auditor", "admin"] {
        let reader = room.person(role, None)?;
        let report = reader.get(&place).await?;
        assert_eq!(
            (report.status, report.text_at("/status").as_str()),
            (200, "draft")
        );
        assert_eq!(
            reader.get(REPORTS).await?.text,
            format!("[{}]", report.text)
        );
    }
    sign(&radiologist, &place, false).await?;
    let clinician = room.person("clinician", None)?;
    let report = clinician.get(&place).await?;
    assert_eq!(
        (report.status, report.text_at("/status").as_str()),
        (200, "preliminary")
    );
    assert_eq!(
        clinician.get(REPORTS).await?.text,
        format!("[{}]", report.text)
    );
    for hidden in ["unsigned_changes", "ai_suggestions", "ai_assist_summary"] {
        assert_eq!(report.json()[hidden], Value::Null, "{hidden}");
    }
    let before = report.number("log-position") - 1;
    let earlier = clinician.get(&format!("{place}?as_of={before}")).await?;
    assert_problem(
        &earlier,
        ProblemCode::NotFound,
        "a draft of the past is a draft",
    );
    Ok(())
}

/// Returns the reports in a patient's timeline, with their status and critical mark.
async fn in_timeline(reader: &TestClient, patient: Uuid) -> Result<Vec<(String, Value)>> {
    let page = reader.get(&format!("/patients/{patient}/timeline")).await?;
    assert_eq!(page.status, 200, "{page:?}");
    let lines = page.json();
    let lines = lines.as_array().into_iter().flatten();
    let reports = lines.filter(|line| line["kind"] == "report");
    let told = |value: &Value| {
        (
            value["status"].as_str().unwrap_or_default().to_owned(),
            value["critical_result"].clone(),
        )
    };
    Ok(reports.map(told).collect())
}

async fn a_timeline_shows_of_reports_what_its_reader_sees(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let clinician = room.person("clinician", None)?;
    let auditor = room.person("auditor", None)?;
    let draft = ("draft".to_owned(), json!(false));
    assert_eq!(in_timeline(&clinician, ours.patient).await?, []);
    assert_eq!(in_timeline(&auditor, ours.patient).await?, [draft]);
    sign(&radiologist, &place, false).await?;
    let marked = json!({ "critical_result": true });
    assert_eq!(radiologist.client.patch(&place, &marked).await?.status, 200);
    let of = |mark: bool| ("preliminary".to_owned(), json!(mark));
    assert_eq!(in_timeline(&clinician, ours.patient).await?, [of(false)]);
    assert_eq!(in_timeline(&auditor, ours.patient).await?, [of(true)]);
    Ok(())
}

/// Checks the feed with `phi=true` for the content of a draft and for what was released with an addendum.
async fn the_feed_opens_drafts_to_who_sees_drafts_only(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let addendum = json!({ "content": "a wombat, too" });
    let added = radiologist
        .client
        .post(&format!("{place}/addenda"), &addendum)
        .await?;
    assert_eq!(added.status, 201, "{added:?}");
    let feed = format!(
        "/events?phi=true&stream_type=RadiologyReport&patient_id={}",
        ours.patient
    );
    for (role, drafts) in [
        ("integration", "sealed"),
        ("auditor", "open"),
        ("admin", "open"),
    ] {
        let told = room.person(role, None)?.get(&feed).await?;
        let seen: Vec<(String, String)> = told.lines().iter().map(kind_and_phi).collect();
        let of = |kind: &str| {
            seen.iter()
                .find(|pair| pair.0 == kind)
                .map(|pair| pair.1.as_str())
        };
        assert_eq!(
            of("RadiologyReport.Created"),
            Some(drafts),
            "{role}: {seen:?}"
        );
        assert_eq!(
            of("RadiologyReport.AddendumAdded"),
            Some("open"),
            "{role}: {seen:?}"
        );
        assert!(told.text.contains("a wombat, too"), "{role}");
    }
    Ok(())
}

fn kind_and_phi(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["type"]), text(&event["phi"]))
}

async fn what_was_told_of_an_unsigned_mark_is_not_released(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let clinician = room.person("clinician", None)?;
    let place = a_signed(&radiologist, &ours, false).await?;
    let marked = json!({ "critical_result": true });
    assert_eq!(radiologist.client.patch(&place, &marked).await?.status, 200);
    let telling = format!("{place}/communications");
    let noted = radiologist.client.post(&telling, &told()).await?.json();
    for (final_by_now, seen) in [(false, json!([])), (true, json!([noted]))] {
        if final_by_now {
            sign(&radiologist, &place, true).await?;
        }
        let report = clinician.get(&place).await?.json();
        let listed = clinician.get(REPORTS).await?.json();
        assert_eq!(report["communications"], seen);
        assert_eq!(listed[0]["communications"], seen);
        let whole = radiologist.client.get(&place).await?.json();
        assert_eq!(whole["communications"], json!([noted]));
    }
    Ok(())
}

async fn pages_of_released_reports_are_as_full_as_anybodys(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let clinician = room.person("clinician", None)?;
    let mut signed = Vec::new();
    for place in 0..8 {
        let ours = images(&room, json!({})).await?;
        if place % 2 == 0 {
            a_draft(&radiologist, &ours, json!({})).await?;
        } else {
            signed.push(a_signed(&radiologist, &ours, true).await?);
        }
    }
    signed.reverse();
    for filter in ["", &format!("&radiologist_id={}", radiologist.id)] {
        let mut seen = Vec::new();
        let mut sizes = Vec::new();
        let mut next = Some(format!("{REPORTS}?limit=3{filter}"));
        while let Some(path) = next {
            let page = clinician.get(&path).await?;
            assert_eq!(page.status, 200, "{page:?}");
            let ids = page.ids();
            sizes.push(ids.len());
            seen.extend(ids.iter().map(|id| format!("{REPORTS}/{id}")));
            next = page.next_page();
        }
        assert_eq!((sizes, &seen), (vec![3, 1], &signed), "{filter}");
    }
    Ok(())
}

async fn lists_by_every_filter_what_the_reader_sees(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let one = room.radiologist()?;
    let two = room.radiologist()?;
    let clinician = room.person("clinician", None)?;
    let a = images(&room, json!({})).await?;
    let b = images(&room, json!({})).await?;
    let c = images(&room, json!({})).await?;
    let draft = a_draft(&one, &a, json!({})).await?;
    let critical = a_critical(&two, &b, true).await?;
    let marked_later = a_signed(&two, &c, false).await?;
    let mark = json!({ "critical_result": true });
    assert_eq!(two.client.patch(&marked_later, &mark).await?.status, 200);
    let cases: Vec<(String, Vec<&String>, Vec<&String>)> = vec![
        (format!("patient_id={}", a.patient), vec![&draft], vec![]),
        (
            format!("radiologist_id={}", two.id),
            vec![&marked_later, &critical],
            vec![&marked_later, &critical],
        ),
        (
            format!("imaging_study_id={}", b.study),
            vec![&critical],
            vec![&critical],
        ),
        (
            format!("imaging_study_id={}&patient_id={}", b.study, a.patient),
            vec![],
            vec![],
        ),
        ("status=DRAFT".to_owned(), vec![&draft], vec![]),
        (
            "critical_result=true".to_owned(),
            vec![&marked_later, &critical],
            vec![&critical],
        ),
        (
            "critical_result=false".to_owned(),
            vec![&draft],
            vec![&marked_later],
        ),
        (
            format!("patient_id={}&critical_result=true", c.patient),
            vec![&marked_later],
            vec![],
        ),
        ("to_date=2020-01-01".to_owned(), vec![], vec![]),
        (
            "from_date=2020-01-01&status=preliminary".to_owned(),
            vec![&marked_later],
            vec![&marked_later],
        ),
    ];
    for (filter, all, released) in cases {
        for (reader, expected) in [(&one.client, all), (&clinician, released)] {
            let listed = reader.get(&format!("{REPORTS}?{filter}")).await?;
            let places: Vec<_> = listed
                .ids()
                .iter()
                .map(|id| format!("{REPORTS}/{id}"))
                .collect();
            assert_eq!(places.iter().collect::<Vec<_>>(), expected, "{filter}");
        }
    }
    Ok(())
}

async fn a_query_is_taken_strictly(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let clinician = room.person("clinician", None)?;
    let refused = vec![
        RejectedRequest::get("/radiology/reports?status=x", ProblemCode::InvalidParameter),
        RejectedRequest::get("/radiology/reports?sort=x", ProblemCode::InvalidParameter),
        RejectedRequest::get(
            "/radiology/reports?patient_id=x",
            ProblemCode::InvalidParameter,
        ),
    ];
    all_refused(&room, &clinician, refused).await
}

async fn who_is_no_practitioner_writes_nothing(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let nobody = room.person("radiologist", None)?;
    let paths =
        ["sign", "cancel", "addenda", "communications"].map(|text| format!("{place}/{text}"));
    let mut refused = vec![
        RejectedRequest::post(
            REPORTS,
            body(&ours, json!({})).to_string(),
            ProblemCode::Forbidden,
        ),
        RejectedRequest::patch(&place, "{}", ProblemCode::Forbidden),
    ];
    refused.extend(
        paths
            .iter()
            .map(|path| RejectedRequest::post(path, "{}", ProblemCode::Forbidden)),
    );
    all_refused(&room, &nobody, refused).await?;
    let another = json!({ "signed_by_radiologist_id": fresh() }).to_string();
    let signing = format!("{place}/sign");
    let refused = RejectedRequest::post(&signing, another, ProblemCode::Unacceptable)
        .at(&["/signed_by_radiologist_id"]);
    all_refused(&room, &radiologist.client, vec![refused]).await
}

/// Creates a triage output of a study, and returns the output's id.
pub(super) async fn triaged(
    room: &super::WorklistApp,
    images: &super::Images,
    status: &str,
) -> Result<String> {
    let admin = &room.house.client;
    let code = format!("M-{}", fresh().simple());
    let model = json!({ "code": code, "name": "ICH", "capabilities": { "triage": true } });
    let model = admin
        .post("/imaging-ai/models", &model)
        .await?
        .text_at("/id");
    let task = json!({
        "imaging_study_id": images.study, "ai_model_id": model, "task_type": "triage",
    });
    let task = admin.post("/imaging-ai/tasks", &task).await?.text_at("/id");
    let output = json!({
        "imaging_ai_task_id": task, "output_type": "triage",
        "payload": { "triage_score": 0.92, "flags": ["ICH_suspected"], "slice": 12 },
    });
    let output = admin.post("/imaging-ai/outputs", &output).await?;
    assert_eq!(output.status, 201, "{output:?}");
    let place = format!("/imaging-ai/tasks/{task}/status");
    let moved = admin.patch(&place, &json!({ "status": status })).await?;
    assert_eq!(moved.status, 200, "{moved:?}");
    Ok(output.text_at("/id"))
}

async fn ai_content_requires_draft_access(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    triaged(&room, &ours, "completed").await?;
    let place = a_signed(&radiologist, &ours, false).await?;
    let report = radiologist.client.get(&place).await?.json();
    let summary = report["ai_assist_summary"].as_str().unwrap();
    assert!(
        summary.ends_with("(triage): ICH_suspected; score 0.92"),
        "{summary}"
    );
    assert!(
        !report["sections"].to_string().contains("ICH"),
        "AI suggests"
    );
    let seen = room.person("clinician", None)?.get(&place).await?;
    assert!(!seen.text.contains("ICH"), "{seen:?}");
    let running = images(&room, json!({})).await?;
    triaged(&room, &running, "running").await?;
    let place = a_draft(&radiologist, &running, json!({})).await?;
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(
        report["ai_assist_summary"],
        Value::Null,
        "it is not done yet"
    );
    Ok(())
}

async fn suggestions_are_judged_where_they_are_about_the_study(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let output = triaged(&room, &ours, "completed").await?;
    case(&room, &ours).await?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let judging = format!("{place}/ai-suggestions/{output}");
    let judgement = json!({ "decision": "modified", "note": "seen on two slices" });
    let judged = radiologist.client.post(&judging, &judgement).await?;
    assert_eq!(judged.status, 200, "{judged:?}");
    assert_eq!(judged.text_at("/output_id"), output);
    let again = radiologist.client.post(&judging, &judgement).await?;
    assert_eq!(again.text, judged.text);
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(report["ai_suggestions"], json!([judged.json()]));
    assert_eq!(
        super::trail(&room, &place).await?,
        ["Created", "AiSuggestionReviewed"]
    );
    let other = room.radiologist()?;
    let held = RejectedRequest::post(
        &judging,
        r#"{"decision":"rejected"}"#,
        ProblemCode::HeldByOther,
    );
    all_refused(&room, &other.client, vec![held]).await?;
    let elsewhere = images(&room, json!({})).await?;
    let foreign = triaged(&room, &elsewhere, "completed").await?;
    let foreign = format!("{place}/ai-suggestions/{foreign}");
    let unknown = format!("{place}/ai-suggestions/{}", fresh());
    let body = r#"{"decision":"accepted"}"#;
    let refused = vec![
        RejectedRequest::post(&foreign, body, ProblemCode::ReferenceNotFound),
        RejectedRequest::post(&unknown, body, ProblemCode::NotFound),
        RejectedRequest::post(
            &judging,
            r#"{"decision":"maybe"}"#,
            ProblemCode::Unacceptable,
        )
        .at(&["/decision"]),
    ];
    all_refused(&room, &radiologist.client, refused).await
}
