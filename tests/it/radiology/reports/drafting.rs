//! Creating and editing drafts, with and without templates.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::{REPORTS, a_draft, all_refused, body, images, start_with_archive, trail};
use crate::assertions::RejectedRequest;
use crate::radiology::fixtures::WorklistApp;
use crate::radiology::templates::a_template;
use crate::test_app::{fresh, on_both_engines, with};

on_both_engines!(
    is_begun_on_a_study_and_read_as_it_was_written,
    patient_order_and_template_must_be_the_studys,
    begins_with_the_templates_words_where_nothing_was_written,
    is_edited_member_by_member_and_section_by_section,
    a_repeat_with_the_same_key_has_one_effect,
    a_study_has_one_report,
    is_begun_again_after_it_was_cancelled,
);

async fn is_begun_on_a_study_and_read_as_it_was_written(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let images = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let further = json!({
        "tenant_id": room.house.tenant, "radiologist_id": radiologist.id,
        "clinical_history": "aphasia", "technique": "plain", "structured_data": {"aspects": 8.5},
    });
    let written = body(&images, further);
    let created = radiologist.client.post(REPORTS, &written).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let place = created.header("location");
    let report = created.json();
    assert_eq!(place, format!("{REPORTS}/{}", created.text_at("/id")));
    for (member, value) in written.as_object().unwrap() {
        assert_eq!(&report[member], value, "{member}");
    }
    let expected = json!({
        "status": "draft", "critical_result": false, "unsigned_changes": false, "phi": "open",
        "addenda": [], "communications": [], "critical_communication": "none", "version": 1,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&report[member], value, "{member}");
    }
    assert_eq!(report["signature"], Value::Null);
    let codes: Vec<_> = report["sections"].as_array().unwrap().iter().collect();
    assert_eq!(codes.len(), 4);
    assert_eq!(
        *codes[0],
        json!({"code": "clinical_history", "title": "Clinical history", "text": "aphasia"})
    );
    assert_eq!(radiologist.client.get(&place).await?.text, created.text);
    let listed = radiologist.client.get(REPORTS).await?;
    assert_eq!(listed.text, format!("[{}]", created.text));
    Ok(())
}

async fn patient_order_and_template_must_be_the_studys(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let order = room.house.create_order(json!({})).await?.text_at("/id");
    let chest = a_template(&room.house, json!({ "body_part": "chest" })).await?;
    let mr = a_template(&room.house, json!({ "modality_code": "MR" })).await?;
    let retired = a_template(&room.house, json!({ "is_active": false })).await?;
    let refused = |members: Value, code: ProblemCode, pointer: &'static [&'static str]| {
        RejectedRequest::post(REPORTS, body(&ours, members).to_string(), code).at(pointer)
    };
    let cases = vec![
        refused(
            json!({ "imaging_study_id": fresh() }),
            ProblemCode::ReferenceNotFound,
            &["/imaging_study_id"],
        ),
        refused(
            json!({ "patient_id": fresh() }),
            ProblemCode::Unacceptable,
            &["/patient_id"],
        ),
        refused(
            json!({ "imaging_order_id": fresh() }),
            ProblemCode::ReferenceNotFound,
            &["/imaging_order_id"],
        ),
        refused(
            json!({ "imaging_order_id": order }),
            ProblemCode::Unacceptable,
            &["/imaging_order_id"],
        ),
        refused(
            json!({ "template_id": fresh() }),
            ProblemCode::ReferenceNotFound,
            &["/template_id"],
        ),
        refused(
            json!({ "template_id": chest }),
            ProblemCode::Unacceptable,
            &["/template_id"],
        ),
        refused(
            json!({ "template_id": mr }),
            ProblemCode::Unacceptable,
            &["/template_id"],
        ),
        refused(
            json!({ "template_id": retired }),
            ProblemCode::Inactive,
            &["/template_id"],
        ),
        refused(
            json!({ "radiologist_id": fresh() }),
            ProblemCode::Unacceptable,
            &["/radiologist_id"],
        ),
    ];
    all_refused(&room, &radiologist.client, cases).await
}

async fn begins_with_the_templates_words_where_nothing_was_written(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let words = json!({ "findings": "No bleed.", "technique": "Plain.", "ventricles": "" });
    let template = a_template(&room.house, json!({ "default_text": words })).await?;
    let ours = images(&room, json!({ "body_part": "head" })).await?;
    let place = a_draft(&radiologist, &ours, json!({ "template_id": template })).await?;
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(report["findings"], "a hyperdense left MCA");
    assert_eq!(report["technique"], "Plain.");
    assert_eq!(
        report["sections"].as_array().unwrap().last(),
        Some(&json!({"code": "ventricles", "title": "Ventricles"}))
    );
    let section = json!({ "sections": [{ "code": "ventricles", "text": "Wide." }] });
    let filled = radiologist.client.patch(&place, &section).await?;
    assert_eq!(filled.text_at("/sections/3/text"), "Wide.");
    Ok(())
}

async fn is_edited_member_by_member_and_section_by_section(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({ "technique": "plain" })).await?;
    let edit = json!({
        "impression": "no stroke", "critical_result": true, "ai_assist_summary": "triage: 0.15",
        "sections": [{ "code": "findings", "title": "Findings", "text": "nothing acute" }],
        "structured_data": { "aspects": 10 },
    });
    let edited = radiologist.client.patch(&place, &edit).await?;
    assert_eq!(
        (edited.status, edited.header("etag").as_str()),
        (200, "\"2\"")
    );
    let report = edited.json();
    assert_eq!(report["impression"], "no stroke");
    assert_eq!(report["findings"], "nothing acute");
    assert_eq!(report["technique"], "plain");
    assert_eq!(report["ai_assist_summary"], "triage: 0.15");
    assert_eq!(report["structured_data"], json!({ "aspects": 10 }));
    assert_eq!(report["critical_communication"], "outstanding");
    assert_eq!(radiologist.client.get(&place).await?.text, edited.text);
    let listed = radiologist.client.get(REPORTS).await?;
    assert_eq!(listed.text, format!("[{}]", edited.text));
    let before = trail(&room, &place).await?;
    for same in [json!({}), edit] {
        let same = radiologist.client.patch(&place, &same).await?;
        assert_eq!((same.status, &same.text), (200, &edited.text));
    }
    assert_eq!(trail(&room, &place).await?, before);
    let then = edited.number("log-position") - 1;
    let earlier = radiologist
        .client
        .get(&format!("{place}?as_of={then}"))
        .await;
    assert_eq!(earlier?.text_at("/impression"), "acute stroke");
    let unknown = json!({ "sections": [{ "code": "aorta", "text": "wide" }] }).to_string();
    let strange = json!({ "sections": [{ "code": "a b" }] }).to_string();
    let refused = vec![
        RejectedRequest::patch(&place, unknown, ProblemCode::Unacceptable).at(&["/sections"]),
        RejectedRequest::patch(&place, strange, ProblemCode::Unacceptable)
            .at(&["/sections/0/code", "/sections/0/text"]),
    ];
    all_refused(&room, &radiologist.client, refused).await
}

async fn a_repeat_with_the_same_key_has_one_effect(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let keyed = radiologist.client.with("idempotency-key", "once");
    let first = keyed.post(REPORTS, &body(&ours, json!({}))).await?;
    let again = keyed.post(REPORTS, &body(&ours, json!({}))).await?;
    assert_eq!((first.status, again.status), (201, 201), "{again:?}");
    assert_eq!(first.text, again.text);
    let place = first.header("location");
    let signing = format!("{place}/sign");
    let first = keyed.post(&signing, &json!({})).await?;
    let again = keyed.post(&signing, &json!({})).await?;
    assert_eq!((first.status, &first.text), (200, &again.text));
    let adding = format!("{place}/addenda");
    let content = json!({ "content": "on the left" });
    let first = keyed.post(&adding, &content).await?;
    radiologist.client.post(&adding, &content).await?;
    let again = keyed.post(&adding, &content).await?;
    assert_eq!((first.status, &first.text), (201, &again.text), "{first:?}");
    assert_eq!(trail(&room, &place).await?.len(), 4);
    Ok(())
}

async fn a_study_has_one_report(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    a_draft(&radiologist, &ours, json!({})).await?;
    let again = RejectedRequest::post(
        REPORTS,
        body(&ours, json!({})).to_string(),
        ProblemCode::AlreadyExists,
    );
    all_refused(&room, &radiologist.client, vec![again]).await
}

async fn is_begun_again_after_it_was_cancelled(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({ "technique": "plain" })).await?;
    let cancel = format!("{place}/cancel");
    let reason = json!({ "reason": "another patient's images" });
    let cancelled = radiologist.client.post(&cancel, &reason).await?;
    assert_eq!(cancelled.text_at("/status"), "cancelled");
    assert_eq!(
        cancelled.text_at("/cancellation_reason"),
        "another patient's images"
    );
    let same = radiologist.client.post(&cancel, &reason).await?;
    assert_eq!((same.status, &same.text), (200, &cancelled.text));
    edit_is_refused(&room, &place).await?;
    let again = a_draft(&radiologist, &ours, json!({ "findings": null })).await?;
    assert_eq!(again, place);
    let report = radiologist.client.get(&again).await?;
    let members = report.json();
    assert_eq!(members["version"], 3);
    for gone in ["technique", "findings", "cancellation_reason"] {
        assert_eq!(members[gone], Value::Null, "{gone}");
    }
    assert_eq!(members["status"], "draft");
    let listed = radiologist.client.get(REPORTS).await?;
    assert_eq!(listed.text, format!("[{}]", report.text));
    assert_eq!(
        trail(&room, &place).await?,
        ["Created", "Cancelled", "Created"]
    );
    Ok(())
}

async fn edit_is_refused(room: &WorklistApp, place: &str) -> Result<()> {
    let edit = with(json!({}), json!({ "findings": "more" })).to_string();
    let refused = RejectedRequest::patch(place, edit, ProblemCode::TransitionRefused);
    all_refused(room, &room.radiologist()?.client, vec![refused]).await
}
