//! Optional parts of a draft can be removed, whoever wrote them.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestResponse};
use serde_json::{Value, json};

use super::{REPORTS, a_draft, all_refused, body, images, sign, start_with_archive};
use crate::assertions::RejectedRequest;
use crate::radiology::fixtures::{RadiologistClient, WorklistApp};
use crate::radiology::templates::a_template;
use crate::test_app::{on_both_engines, with};

on_both_engines!(
    null_and_a_blank_text_take_a_section_away,
    the_templates_own_sections_are_emptied,
    what_was_taken_away_is_not_signed,
    a_report_begins_without_what_is_blank,
    what_every_report_has_cannot_be_taken_away,
    structured_data_are_merged_member_by_member,
);

const MEMBERS: [&str; 4] = ["clinical_history", "technique", "findings", "impression"];

fn written() -> Value {
    json!({ "clinical_history": "aphasia", "technique": "Contrast 100 ml IV.", "findings": "none",
        "impression": "none", "structured_data": { "aspects": 10 } })
}

/// Checks that the member is absent from the response, a read, the list, and a read with `as_of`.
async fn is_gone(
    by: &RadiologistClient,
    place: &str,
    changed: &TestResponse,
    member: &str,
) -> Result<()> {
    assert_eq!(changed.status, 200, "{member} {changed:?}");
    assert_eq!(changed.json().get(member), None, "{member}");
    let sections = changed.json()["sections"].to_string();
    assert!(!sections.contains(&format!("\"{member}\"")), "{sections}");
    assert_eq!(by.client.get(place).await?.text, changed.text, "{member}");
    let listed = by.client.get(REPORTS).await?;
    assert_eq!(listed.text, format!("[{}]", changed.text), "{member}");
    let position = changed.number("log-position");
    let then = by.client.get(&format!("{place}?as_of={position}")).await?;
    assert_eq!(then.json().get(member), None, "as_of {member}");
    Ok(())
}

async fn null_and_a_blank_text_take_a_section_away(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, written()).await?;
    let fill = with(written(), json!({ "ai_assist_summary": "triage: 0.92" }));
    for member in MEMBERS {
        let by_code = |text: Value| json!({ "sections": [{ "code": member, "text": text }] });
        let ways = [
            json!({ member: null }),
            json!({ member: " " }),
            by_code(json!("")),
            by_code(Value::Null),
        ];
        for clear in ways {
            let filled = radiologist.client.patch(&place, &fill).await?;
            assert_eq!(filled.json()[member], written()[member], "{filled:?}");
            let changed = radiologist.client.patch(&place, &clear).await?;
            is_gone(&radiologist, &place, &changed, member).await?;
        }
    }
    for member in ["structured_data", "ai_assist_summary"] {
        let null = json!({ member: null });
        let changed = radiologist.client.patch(&place, &null).await?;
        is_gone(&radiologist, &place, &changed, member).await?;
        let again = radiologist.client.patch(&place, &null).await?;
        assert_eq!(again.header("etag"), changed.header("etag"), "{member}");
    }
    let id = place.rsplit('/').next().unwrap_or_default();
    let events = format!("/events?stream_id={id}&phi=true&limit=5000");
    let events = room.house.client.get(&events).await?.lines();
    let last = events.last().cloned().unwrap_or_default();
    assert_eq!(last["type"], "RadiologyReport.Updated");
    let says = last.to_string();
    assert!(says.contains("\"ai_assist_summary\":null"), "{says}");
    Ok(())
}

async fn with_template(room: &WorklistApp, by: &RadiologistClient) -> Result<String> {
    let default_text = json!({ "technique": "Contrast 100 ml IV.", "aorta": "not dilated" });
    let template = a_template(&room.house, json!({ "default_text": default_text })).await?;
    let ours = images(room, json!({})).await?;
    a_draft(by, &ours, json!({ "template_id": template })).await
}

async fn the_templates_own_sections_are_emptied(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let place = with_template(&room, &radiologist).await?;
    for text in [Value::Null, json!("  ")] {
        let fill = json!({ "sections": [{ "code": "aorta", "text": "wide" }] });
        let filled = radiologist.client.patch(&place, &fill).await?;
        assert!(filled.text.contains("wide"), "{filled:?}");
        let clear = json!({ "sections": [{ "code": "aorta", "text": text }] });
        let cleared = radiologist.client.patch(&place, &clear).await?;
        let sections = cleared.json()["sections"].as_array().cloned();
        let empty = json!({ "code": "aorta", "title": "Aorta" });
        let is_there = sections.is_some_and(|sections| sections.contains(&empty));
        assert!(is_there, "it is there to be filled: {cleared:?}");
        assert_eq!(radiologist.client.get(&place).await?.text, cleared.text);
    }
    Ok(())
}

async fn what_was_taken_away_is_not_signed(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let place = with_template(&room, &radiologist).await?;
    for clear in [json!({ "technique": null }), json!({ "impression": "" })] {
        let cleared = radiologist.client.patch(&place, &clear).await?;
        assert_eq!(cleared.status, 200, "{cleared:?}");
    }
    let signing = format!("{place}/sign");
    let refused =
        RejectedRequest::post(&signing, "{}", ProblemCode::Unacceptable).at(&["/impression"]);
    all_refused(&room, &radiologist.client, vec![refused]).await?;
    let impression = json!({ "impression": "normal" });
    let written = radiologist.client.patch(&place, &impression).await?;
    assert_eq!(written.status, 200, "{written:?}");
    let signed = sign(&radiologist, &place, true).await?.json();
    assert_eq!(signed["signature"]["valid"], true, "{signed}");
    assert_eq!(signed.get("technique"), None);
    let released = room.house.caller("clinician")?.get(&place).await?;
    assert_eq!(released.text_at("/impression"), "normal", "{released:?}");
    assert!(!released.text.contains("Contrast"), "{released:?}");
    Ok(())
}

async fn a_report_begins_without_what_is_blank(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let blank =
        json!({ "clinical_history": "", "technique": " ", "findings": "", "impression": "" });
    let created = radiologist
        .client
        .post(REPORTS, &body(&ours, blank))
        .await?;
    assert_eq!(created.status, 201, "{created:?}");
    for member in MEMBERS {
        assert_eq!(created.json().get(member), None, "{member}");
    }
    Ok(())
}

async fn what_every_report_has_cannot_be_taken_away(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let patch =
        |body: &'static str| RejectedRequest::patch(&place, body, ProblemCode::Unacceptable);
    let refused = vec![
        patch(r#"{"critical_result":null}"#).at(&["/critical_result"]),
        patch(r#"{"sections":null}"#).at(&["/sections"]),
        patch(r#"{"sections":[{"code":"findings"}]}"#).at(&["/sections/0/text"]),
    ];
    all_refused(&room, &radiologist.client, refused).await
}

async fn structured_data_are_merged_member_by_member(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    let ours = images(&room, json!({})).await?;
    let data = json!({ "aspects": 10, "lesion": { "mm": 4, "side": "left" } });
    let place = a_draft(&radiologist, &ours, json!({ "structured_data": data })).await?;
    let patch = json!({ "structured_data": { "lesion": { "side": null, "lobe": 1 } } });
    let changed = radiologist.client.patch(&place, &patch).await?;
    let merged = json!({ "aspects": 10, "lesion": { "mm": 4, "lobe": 1 } });
    assert_eq!(changed.json()["structured_data"], merged, "{changed:?}");
    let long = |name: &str| json!({ "structured_data": { name: "x".repeat(40 * 1024) } });
    let filled = radiologist.client.patch(&place, &long("a")).await?;
    assert_eq!(filled.status, 200, "{filled:?}");
    let refused = RejectedRequest::patch(&place, long("b").to_string(), ProblemCode::Unacceptable);
    let refused = vec![refused.at(&["/structured_data"])];
    all_refused(&room, &radiologist.client, refused).await
}
