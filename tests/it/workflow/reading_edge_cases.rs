//! Series after the final signature, reports without a claim, and reports after a cancelled one.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::fixtures::{Images, REPORTS, done, has, open};
use crate::test_app::on_both_engines;

on_both_engines!(
    late_series_after_the_final_signature_bring_the_item_back,
    a_report_without_a_claim_signed_finally_by_another_completes_the_item,
    a_cancelled_report_begun_again_takes_its_item_along,
);

async fn late_series_after_the_final_signature_bring_the_item_back(
    engine: EngineKind,
) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    let (study, item) = images.arrive(&house).await?;
    let reader = house.caller("radiologist")?;
    let report = done(reader.post(REPORTS, &images.report(&study)).await?).header("location");
    done(reader.post(&format!("{report}/sign"), &json!({})).await?);
    has(&house.client, &item, "status", json!("completed")).await?;
    images.grow(&house).await?;
    let back = has(&house.client, &item, "status", json!("pending")).await?;
    assert_eq!(back["attention"], json!(["late_images"]));
    Ok(())
}

async fn a_report_without_a_claim_signed_finally_by_another_completes_the_item(
    engine: EngineKind,
) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    let (study, item) = images.arrive(&house).await?;
    let resident = house.caller("radiologist")?;
    let attending = house.caller("radiologist")?;
    let report = done(resident.post(REPORTS, &images.report(&study)).await?).header("location");
    has(&house.client, &item, "status", json!("in_progress")).await?;
    let sign = format!("{report}/sign");
    done(resident.post(&sign, &json!({ "final": false })).await?);
    done(attending.post(&sign, &json!({})).await?);
    has(&house.client, &item, "status", json!("completed")).await?;
    let freed = "/events?types=RadiologistCaseload.CaseFreed";
    let freed = house.client.get(freed).await?.lines();
    assert_eq!(freed.len(), 1, "{freed:?}");
    assert_eq!(freed[0]["data"]["open_cases"], json!([]));
    Ok(())
}

async fn a_cancelled_report_begun_again_takes_its_item_along(engine: EngineKind) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    let (study, item) = images.arrive(&house).await?;
    let reader = house.caller("radiologist")?;
    let body = images.report(&study);
    let report = done(reader.post(REPORTS, &body).await?).header("location");
    has(&house.client, &item, "status", json!("in_progress")).await?;
    let reason = json!({ "reason": "wrong template" });
    done(reader.post(&format!("{report}/cancel"), &reason).await?);
    has(&house.client, &item, "status", json!("claimed")).await?;
    done(reader.post(REPORTS, &body).await?);
    has(&house.client, &item, "status", json!("in_progress")).await?;
    Ok(())
}
