//! Signed content is never changed.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::{a_draft, a_signed, all_refused, images, sign, start_with_archive, trail};
use crate::assertions::RejectedRequest;
use crate::radiology::templates::a_template;
use crate::test_app::on_both_engines;

on_both_engines!(
    is_released_by_its_signature,
    edits_of_a_preliminary_report_are_unsigned_until_they_are_signed,
    a_final_report_is_not_edited_signed_again_or_cancelled,
    final_needs_an_impression_and_data_that_satisfy_the_schema,
    signing_what_is_signed_appends_nothing,
);

async fn is_released_by_its_signature(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let signing = format!("{place}/sign");
    let signed = radiologist
        .client
        .send(reqwest::Method::POST, &signing, Vec::new())
        .await?;
    let report = signed.json();
    assert_eq!((signed.status, &report["status"]), (200, &json!("final")));
    assert_eq!(report["signed_by_radiologist_id"], json!(radiologist.id));
    assert_eq!(report["signature"]["valid"], true);
    let event = super::event(&room, &place, "Signed").await?;
    let data = &event["data"];
    assert_eq!(data["sha256"], report["signature"]["sha256"]);
    assert_eq!(data["status"], "final");
    assert_eq!(data["signed_by_radiologist_id"], json!(radiologist.id));
    assert_eq!(data["critical_result"], false);
    assert_eq!(event["phi"], "open", "nothing in it is sealed");
    assert_eq!(trail(&room, &place).await?, ["Created", "Signed"]);
    Ok(())
}

async fn edits_of_a_preliminary_report_are_unsigned_until_they_are_signed(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let clinician = room.person("clinician", None)?;
    let place = a_signed(&radiologist, &ours, false).await?;
    let released = clinician.get(&place).await?.json();
    assert_eq!(released["impression"], "acute stroke");
    let edit = json!({ "impression": "no stroke", "critical_result": true });
    let edited = radiologist.client.patch(&place, &edit).await?.json();
    assert_eq!(edited["unsigned_changes"], true);
    assert_eq!(edited["impression"], "no stroke");
    assert_eq!(edited["signature"]["valid"], true);
    let seen = clinician.get(&place).await?.json();
    for member in [
        "impression",
        "critical_result",
        "signature",
        "sections",
        "status",
    ] {
        assert_eq!(seen[member], released[member], "{member}");
    }
    assert_eq!(seen["critical_communication"], "none");
    let signed = sign(&radiologist, &place, false).await?.json();
    assert_eq!(signed["unsigned_changes"], false);
    assert_ne!(
        signed["signature"]["sha256"],
        released["signature"]["sha256"]
    );
    let seen = clinician.get(&place).await?.json();
    assert_eq!(seen["impression"], "no stroke");
    assert_eq!(seen["critical_result"], true);
    Ok(())
}

async fn a_final_report_is_not_edited_signed_again_or_cancelled(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let signing = format!("{place}/sign");
    let cancelling = format!("{place}/cancel");
    let refused = || {
        vec![
            RejectedRequest::patch(
                &place,
                r#"{"findings":"more"}"#,
                ProblemCode::TransitionRefused,
            ),
            RejectedRequest::post(
                &signing,
                r#"{"final":false}"#,
                ProblemCode::TransitionRefused,
            ),
            RejectedRequest::post(
                &cancelling,
                r#"{"reason":"none"}"#,
                ProblemCode::TransitionRefused,
            ),
        ]
    };
    all_refused(&room, &radiologist.client, refused()).await?;
    let by_another = RejectedRequest::post(&signing, "{}", ProblemCode::TransitionRefused);
    all_refused(&room, &room.radiologist()?.client, vec![by_another]).await?;
    let adding = format!("{place}/addenda");
    let added = radiologist
        .client
        .post(&adding, &json!({ "content": "x" }))
        .await;
    assert_eq!(added?.status, 201);
    all_refused(&room, &radiologist.client, refused()).await
}

async fn final_needs_an_impression_and_data_that_satisfy_the_schema(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let schema = json!({
        "type": "object", "required": ["hemorrhage"],
        "properties": { "hemorrhage": { "type": "boolean" }, "aspects": { "maximum": 10 } },
    });
    let members = json!({ "template_type": "hybrid", "schema": schema });
    let template = a_template(&room.house, members).await?;
    let bare = json!({ "template_id": template, "impression": null });
    let place = a_draft(&radiologist, &ours, bare).await?;
    let signing = format!("{place}/sign");
    let refused = |pointers: &'static [&'static str]| {
        vec![RejectedRequest::post(&signing, "{}", ProblemCode::Unacceptable).at(pointers)]
    };
    all_refused(
        &room,
        &radiologist.client,
        refused(&["/impression", "/structured_data"]),
    )
    .await?;
    let wrong = json!({ "impression": "stroke", "structured_data": { "aspects": 11 } });
    assert_eq!(radiologist.client.patch(&place, &wrong).await?.status, 200);
    let pointers = &["/structured_data", "/structured_data/aspects"];
    all_refused(&room, &radiologist.client, refused(pointers)).await?;
    let preliminary = sign(&radiologist, &place, false).await?;
    assert_eq!(preliminary.status, 200, "{preliminary:?}");
    let right = json!({ "structured_data": { "hemorrhage": false, "aspects": 8 } });
    assert_eq!(radiologist.client.patch(&place, &right).await?.status, 200);
    assert_eq!(
        sign(&radiologist, &place, true).await?.text_at("/status"),
        "final"
    );
    Ok(())
}

async fn signing_what_is_signed_appends_nothing(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let radiologist = room.radiologist()?;
    for is_final in [false, true] {
        let ours = images(&room, json!({})).await?;
        let place = a_signed(&radiologist, &ours, is_final).await?;
        let seen = radiologist.client.get(&place).await?;
        let again = sign(&radiologist, &place, is_final).await?;
        assert_eq!((again.status, &again.text), (200, &seen.text));
        assert_eq!(trail(&room, &place).await?, ["Created", "Signed"]);
    }
    Ok(())
}
