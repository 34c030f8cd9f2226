//! The author of a report holds its case.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::{
    REPORTS, a_draft, a_signed, all_refused, body, case, images, sign, start_with_archive,
};
use crate::assertions::{RejectedRequest, assert_problem};
use crate::test_app::on_both_engines;

on_both_engines!(
    a_report_written_without_a_claim_claims_the_case,
    another_ones_case_is_not_written_on,
    another_ones_draft_is_not_cancelled_until_the_case_is_released,
    who_claims_the_case_takes_over_its_draft,
    a_preliminary_report_is_signed_by_any_radiologist,
    a_claim_with_a_report_is_a_claim_with_all_its_checks,
);

async fn a_report_written_without_a_claim_claims_the_case(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let case = case(&room, &ours).await?;
    let created = radiologist
        .client
        .post(REPORTS, &body(&ours, json!({})))
        .await;
    let position = created?.number("log-position");
    let item = radiologist.client.get(&case).await?.json();
    assert_eq!(item["assigned_radiologist_id"], json!(radiologist.id));
    let cases = room.open_cases(radiologist.id).await?;
    assert_eq!(cases, [item["id"].as_str().unwrap()]);
    let claimed = "/events?types=RadiologyWorklistItem.Claimed";
    let claimed = room.house.client.get(claimed).await?.lines();
    let at = claimed[0]["position"].as_u64().unwrap();
    assert!(position - at <= 2, "one append: {at} and {position}");
    Ok(())
}

async fn another_ones_case_is_not_written_on(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let holder = room.radiologist()?;
    let other = room.radiologist()?;
    let case = case(&room, &ours).await?;
    let claim = format!("{case}/claim");
    assert_eq!(holder.client.post(&claim, &json!({})).await?.status, 200);
    let create = RejectedRequest::post(
        REPORTS,
        body(&ours, json!({})).to_string(),
        ProblemCode::HeldByOther,
    );
    all_refused(&room, &other.client, vec![create]).await?;
    let place = a_draft(&holder, &ours, json!({})).await?;
    let signing = format!("{place}/sign");
    let refused = vec![
        RejectedRequest::patch(&place, r#"{"findings":"more"}"#, ProblemCode::HeldByOther),
        RejectedRequest::post(&signing, "{}", ProblemCode::HeldByOther),
        RejectedRequest::post(&signing, r#"{"final":false}"#, ProblemCode::HeldByOther),
    ];
    all_refused(&room, &other.client, refused).await
}

async fn another_ones_draft_is_not_cancelled_until_the_case_is_released(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let holder = room.radiologist()?;
    let other = room.radiologist()?;
    let case = case(&room, &ours).await?;
    let place = a_draft(&holder, &ours, json!({})).await?;
    let cancel = json!({ "reason": "another patient's images" });
    let cancelling = format!("{place}/cancel");
    let refused = RejectedRequest::post(&cancelling, cancel.to_string(), ProblemCode::HeldByOther);
    all_refused(&room, &other.client, vec![refused]).await?;
    // The existence of an output is checked first; a communication is recorded whoever holds the case.
    let told = other
        .client
        .post(&format!("{place}/communications"), &super::told())
        .await?;
    assert_eq!(told.status, 201, "{told:?}");
    let edit = json!({ "findings": "my work" });
    let edited = holder.client.patch(&place, &edit).await?;
    assert_eq!(edited.status, 200, "{edited:?}");
    let release = format!("{case}/release");
    let released = room.house.client.post(&release, &json!({})).await?;
    assert_eq!(released.status, 200, "{released:?}");
    let cancelled = other.client.post(&cancelling, &cancel).await?;
    assert_eq!(cancelled.text_at("/status"), "cancelled", "{cancelled:?}");

    let place = a_draft(&holder, &ours, json!({})).await?;
    let own = holder
        .client
        .post(&format!("{place}/cancel"), &cancel)
        .await?;
    assert_eq!(own.text_at("/status"), "cancelled", "one's own: {own:?}");
    Ok(())
}

async fn who_claims_the_case_takes_over_its_draft(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let first = room.radiologist()?;
    let second = room.radiologist()?;
    let case = case(&room, &ours).await?;
    let place = a_draft(&first, &ours, json!({})).await?;
    let released = first
        .client
        .post(&format!("{case}/release"), &json!({}))
        .await;
    assert_eq!(released?.status, 200);
    let edit = json!({ "technique": "plain" });
    let edited = second.client.patch(&place, &edit).await?;
    assert_eq!(edited.text_at("/radiologist_id"), second.id.to_string());
    let item = second.client.get(&case).await?;
    assert_eq!(
        item.text_at("/assigned_radiologist_id"),
        second.id.to_string()
    );
    assert_eq!(item.text_at("/status"), "in_progress", "it is being read");
    let late = first
        .client
        .patch(&place, &json!({ "findings": "x" }))
        .await;
    assert_problem(&late?, ProblemCode::HeldByOther, "the first one's edit");
    Ok(())
}

async fn a_preliminary_report_is_signed_by_any_radiologist(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let resident = room.radiologist()?;
    let attending = room.radiologist()?;
    case(&room, &ours).await?;
    let place = a_signed(&resident, &ours, false).await?;
    let edit = json!({ "impression": "acute left MCA stroke" });
    let edited = attending.client.patch(&place, &edit).await?;
    assert_eq!(edited.status, 200, "{edited:?}");
    let signed = sign(&attending, &place, true).await?.json();
    assert_eq!(signed["status"], "final");
    assert_eq!(signed["signed_by_radiologist_id"], json!(attending.id));
    assert_eq!(signed["radiologist_id"], json!(resident.id));
    assert_eq!(signed["impression"], "acute left MCA stroke");
    Ok(())
}

async fn a_claim_with_a_report_is_a_claim_with_all_its_checks(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    case(&room, &ours).await?;
    let mr_only = json!({ "allowed_modalities": ["MR"] });
    let mr_only = room.radiologist_with(mr_only).await?;
    let refused = RejectedRequest::post(
        REPORTS,
        body(&ours, json!({})).to_string(),
        ProblemCode::NotPrivileged,
    );
    all_refused(&room, &mr_only.client, vec![refused]).await?;
    let one_case = json!({ "max_concurrent_cases": 1 });
    let one_case = room.radiologist_with(one_case).await?;
    a_draft(&one_case, &ours, json!({})).await?;
    let more = images(&room, json!({})).await?;
    case(&room, &more).await?;
    let refused = RejectedRequest::post(
        REPORTS,
        body(&more, json!({})).to_string(),
        ProblemCode::CaseLimitReached,
    );
    all_refused(&room, &one_case.client, vec![refused]).await
}
