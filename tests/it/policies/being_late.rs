//! Images that come after a study was read.

use anyhow::Result;
use roentgen_domain::worklist_item::{Attention, Status};
use roentgen_tests::Engine;

use super::Node;
use super::hospital::Images;
use crate::story::{fresh, on_both_engines};

on_both_engines!(
    series_after_the_final_signature_bring_the_item_back,
    series_that_come_with_the_signature_are_late_too,
    series_before_it_is_read_are_not_late,
);

async fn read(node: &Node, images: &Images) -> Result<roentgen_domain::ids::StudyId> {
    let anna = fresh().into();
    let study = node.synced(images).await?;
    node.settled().await?;
    node.claimed(study, anna).await?;
    node.reported(images, study, anna).await?;
    node.signed(study, anna, true).await?;
    Ok(study)
}

async fn series_after_the_final_signature_bring_the_item_back(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::new();
    let study = read(&node, &images).await?;
    node.settled().await?;
    assert_eq!(node.item(study).await?.status(), Status::Completed);
    node.synced(&images.and_more()).await?;
    node.settled().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.attention, [Attention::LateImages]);
    node.stop().await
}

/// The signature's own consequence may not have come about when they come.
async fn series_that_come_with_the_signature_are_late_too(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::new();
    let study = read(&node, &images).await?;
    node.synced(&images.and_more()).await?;
    node.settled().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.attention, [Attention::LateImages]);
    node.stop().await
}

async fn series_before_it_is_read_are_not_late(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::new();
    let study = node.synced(&images).await?;
    node.synced(&images.and_more()).await?;
    node.settled().await?;
    let item = node.item(study).await?;
    assert_eq!((item.status(), item.attention), (Status::Pending, vec![]));
    node.stop().await
}
