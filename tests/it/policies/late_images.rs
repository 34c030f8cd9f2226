//! Images that arrive after a study was read.

use anyhow::Result;
use roentgen_domain::order::{Priority, Status as OrderStatus};
use roentgen_domain::worklist_item::{Attention, Status};
use roentgen_tests::EngineKind;
use serde_json::json;

use super::TestNode;
use super::fixtures::TestStudy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    series_after_the_final_signature_bring_the_item_back,
    series_that_come_with_the_signature_are_late_too,
    series_before_it_is_read_are_not_late,
    a_case_that_is_opened_again_has_the_order_that_came_meanwhile,
    a_case_that_is_opened_again_shows_that_its_order_was_cancelled_meanwhile,
);

async fn read(node: &TestNode, images: &TestStudy) -> Result<roentgen_domain::ids::StudyId> {
    let anna = fresh().into();
    let study = node.synced(images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(images, study, anna).await?;
    node.signed(study, anna, true).await?;
    Ok(study)
}

async fn series_after_the_final_signature_bring_the_item_back(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let study = read(&node, &images).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::Completed);
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.attention, [Attention::LateImages]);
    node.stop().await
}

/// The series may arrive before the effects of the signature.
async fn series_that_come_with_the_signature_are_late_too(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let study = read(&node, &images).await?;
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.attention, [Attention::LateImages]);
    node.stop().await
}

async fn series_before_it_is_read_are_not_late(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let study = node.synced(&images).await?;
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!((item.status(), item.attention), (Status::Pending, vec![]));
    node.stop().await
}

async fn a_case_that_is_opened_again_has_the_order_that_came_meanwhile(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let study = read(&node, &images).await?;
    node.wait_until_idle().await?;
    let order = node.ordered(&images, json!({ "priority": "stat" })).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::Completed);
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.case.imaging_order_id, Some(order));
    assert_eq!(item.priority, Priority::Stat);
    assert_eq!(item.attention, [Attention::LateImages]);
    node.stop().await
}

async fn a_case_that_is_opened_again_shows_that_its_order_was_cancelled_meanwhile(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(false).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = read(&node, &images).await?;
    node.wait_until_idle().await?;
    node.move_order(order, OrderStatus::Cancelled).await?;
    node.wait_until_idle().await?;
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    let expected = [Attention::LateImages, Attention::OrderCancelled];
    assert_eq!(item.attention, expected);
    node.stop().await
}
