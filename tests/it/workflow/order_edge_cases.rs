//! Orders that arrive after their images, belong to another patient, or are cancelled after the images arrived.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::fixtures::{Images, done, has, open};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_stat_order_after_its_images_raises_the_item_and_is_completed,
    a_patient_mismatch_is_shown_until_a_person_settles_it,
    a_cancelled_order_with_images_stays_on_the_list,
);

async fn a_stat_order_after_its_images_raises_the_item_and_is_completed(
    engine: EngineKind,
) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    let (study, item) = images.arrive(&house).await?;
    assert_eq!(study.text_at("/link"), "unlinked");
    let order = images
        .ordered(&house, json!({ "priority": "stat" }))
        .await?;
    has(&house.client, &item, "priority", json!("stat")).await?;
    has(&house.client, &order, "status", json!("completed")).await?;
    let place = format!("/pacs/studies/{}", study.text_at("/id"));
    has(&house.client, &place, "link", json!("linked")).await?;
    Ok(())
}

async fn a_patient_mismatch_is_shown_until_a_person_settles_it(engine: EngineKind) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    images
        .ordered(&house, json!({ "patient_id": fresh() }))
        .await?;
    let (study, item) = images.arrive(&house).await?;
    assert_eq!(study.text_at("/link"), "conflict");
    has(&house.client, &item, "attention", json!(["link_conflict"])).await?;
    let right = house
        .create_order(json!({ "patient_id": images.patient }))
        .await?;
    let place = format!("/pacs/studies/{}", study.text_at("/id"));
    let settle = json!({ "imaging_order_id": right.text_at("/id") });
    let settled = done(house.client.patch(&place, &settle).await?);
    assert_eq!(settled.text_at("/link"), "linked");
    has(
        &house.client,
        &item,
        "imaging_order_id",
        right.json()["id"].clone(),
    )
    .await?;
    Ok(())
}

async fn a_cancelled_order_with_images_stays_on_the_list(engine: EngineKind) -> Result<()> {
    let house = open(engine, &[]).await?;
    let images = Images::new();
    let order = images.ordered(&house, json!({})).await?;
    let cancel = json!({ "status": "cancelled", "cancellation_reason": "wrong patient" });
    done(house.client.patch(&order, &cancel).await?);
    let (_, item) = images.arrive(&house).await?;
    let shown = has(
        &house.client,
        &item,
        "attention",
        json!(["order_cancelled"]),
    )
    .await?;
    assert_eq!(shown["status"], "pending");
    Ok(())
}
