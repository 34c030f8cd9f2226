//! Addenda: they are added to a final report, which is never changed.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::{a_draft, a_signed, all_refused, images, sign, start_with_archive};
use crate::assertions::RejectedRequest;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    an_addendum_makes_a_final_report_corrected_and_leaves_what_was_signed,
    only_final_reports_are_added_to,
    addenda_are_listed_newest_first,
);

async fn an_addendum_makes_a_final_report_corrected_and_leaves_what_was_signed(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let before = radiologist.client.get(&place).await?.json();
    let adding = format!("{place}/addenda");
    let addendum = json!({
        "content": "on the right", "kind": "correction", "tenant_id": room.house.tenant,
        "radiology_report_id": before["id"], "added_by_radiologist_id": radiologist.id,
    });
    let added = radiologist.client.post(&adding, &addendum).await?;
    assert_eq!(
        (added.status, added.header("location")),
        (201, adding.clone())
    );
    assert_eq!(added.header("etag"), "\"3\"");
    let part = added.json();
    for member in [
        "content",
        "kind",
        "radiology_report_id",
        "added_by_radiologist_id",
    ] {
        assert_eq!(part[member], addendum[member], "{member}");
    }
    assert_eq!(part["signature"]["valid"], true);
    let after = radiologist.client.get(&place).await?.json();
    assert_eq!(after["status"], "corrected");
    assert_eq!(after["addenda"], json!([part]));
    for member in ["findings", "impression", "signature", "signed_at"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    let event = super::event(&room, &place, "AddendumAdded").await?;
    assert_eq!(event["data"]["addendum_id"], part["id"]);
    assert_eq!(event["data"]["content"], "on the right");
    assert_eq!(event["data"]["sha256"], part["signature"]["sha256"]);
    let clinician = room.person("clinician", None)?;
    let seen = clinician.get(&place).await?.json();
    assert_eq!(seen["addenda"], after["addenda"]);
    Ok(())
}

async fn only_final_reports_are_added_to(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let adding = format!("{place}/addenda");
    let refused = || {
        let body = r#"{"content":"more"}"#;
        vec![RejectedRequest::post(
            &adding,
            body,
            ProblemCode::TransitionRefused,
        )]
    };
    all_refused(&room, &radiologist.client, refused()).await?;
    sign(&radiologist, &place, false).await?;
    all_refused(&room, &radiologist.client, refused()).await?;
    sign(&radiologist, &place, true).await?;
    let wrong = json!({
        "kind": "story", "content": " ", "radiology_report_id": fresh(),
        "added_by_radiologist_id": fresh(),
    });
    let pointers = &[
        "/content",
        "/kind",
        "/added_by_radiologist_id",
        "/radiology_report_id",
    ];
    let refused =
        RejectedRequest::post(&adding, wrong.to_string(), ProblemCode::Unacceptable).at(pointers);
    all_refused(&room, &radiologist.client, vec![refused]).await
}

async fn addenda_are_listed_newest_first(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let adding = format!("{place}/addenda");
    for content in ["first", "second", "third"] {
        let added = radiologist
            .client
            .post(&adding, &json!({ "content": content }))
            .await;
        assert_eq!(added?.status, 201);
    }
    let mut seen = Vec::new();
    let mut next = Some(format!("{adding}?limit=2"));
    while let Some(path) = next {
        let page = radiologist.client.get(&path).await?;
        assert_eq!(page.status, 200, "{page:?}");
        for addendum in page.json().as_array().unwrap() {
            seen.push(addendum["content"].as_str().unwrap().to_owned());
        }
        next = page.next_page();
    }
    assert_eq!(seen, ["third", "second", "first"]);
    let refused = vec![
        RejectedRequest::get(
            "/radiology/reports/x/addenda",
            ProblemCode::InvalidParameter,
        ),
        RejectedRequest::get(
            "/radiology/reports/00000000-0000-0000-0000-000000000001/addenda",
            ProblemCode::NotFound,
        ),
    ];
    all_refused(&room, &radiologist.client, refused).await
}
