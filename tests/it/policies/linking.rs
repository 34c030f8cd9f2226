//! Studies and orders find one another, and what follows from that.

use anyhow::Result;
use roentgen_domain::order::{Order, Priority, Progress, Status};
use roentgen_domain::study::{LinkName, Study};
use roentgen_domain::worklist_item::Attention;
use roentgen_tests::Engine;
use serde_json::json;

use super::Node;
use super::hospital::Images;
use crate::story::{fresh, on_both_engines};

on_both_engines!(
    images_that_came_before_their_order_are_linked_with_it,
    a_stat_order_raises_the_item_that_is_there_already,
    an_order_completes_when_its_images_end,
    an_endpoint_that_completes_no_order_leaves_it_open,
    an_order_of_another_patient_is_a_conflict_and_no_link,
    an_order_cancelled_with_images_is_shown_on_the_item,
    images_of_an_order_that_is_cancelled_already_are_shown_so,
);

async fn images_that_came_before_their_order_are_linked_with_it(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::accessioned();
    let study = node.synced(&images).await?;
    node.settled().await?;
    assert_eq!(node.item(study).await?.case.imaging_order_id, None);
    let order = node.ordered(&images, json!({})).await?;
    node.settled().await?;
    let linked = node.state::<Study>(study).await?;
    assert_eq!(linked.linking.order(), Some(order));
    assert_eq!(node.item(study).await?.case.imaging_order_id, Some(order));
    assert_eq!(node.events("ImagingStudy.Linked").await?.len(), 1);
    node.stop().await
}

async fn a_stat_order_raises_the_item_that_is_there_already(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::accessioned();
    let study = node.synced(&images).await?;
    node.settled().await?;
    assert_eq!(node.item(study).await?.priority, Priority::Routine);
    node.ordered(&images, json!({ "priority": "stat" })).await?;
    node.settled().await?;
    assert_eq!(node.item(study).await?.priority, Priority::Stat);
    node.stop().await
}

async fn an_order_completes_when_its_images_end(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let mut images = Images::accessioned();
    images.ended_at = Some("2026-01-31T09:30:00Z");
    let order = node.ordered(&images, json!({})).await?;
    node.synced(&images).await?;
    node.settled().await?;
    let Progress::Completed {
        performed_end_at, ..
    } = node.state::<Order>(order).await?.progress
    else {
        anyhow::bail!("the order is open");
    };
    assert_eq!(performed_end_at, "2026-01-31T09:30:00Z".parse()?);
    node.stop().await
}

async fn an_endpoint_that_completes_no_order_leaves_it_open(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(false).await?;
    let images = Images::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    node.settled().await?;
    let status = node.state::<Order>(order).await?.progress.status();
    assert_eq!(status, Status::Requested);
    assert_eq!(node.item(study).await?.case.imaging_order_id, Some(order));
    node.stop().await
}

async fn an_order_of_another_patient_is_a_conflict_and_no_link(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::accessioned();
    let study = node.synced(&images).await?;
    let stat = json!({ "priority": "stat" });
    let order = node.ordered_for(fresh().into(), &images, stat).await?;
    node.settled().await?;
    let linking = node.state::<Study>(study).await?.linking;
    assert_eq!(linking.name(), LinkName::Conflict);
    let item = node.item(study).await?;
    assert_eq!(item.attention, [Attention::LinkConflict]);
    assert_eq!(item.priority, Priority::Routine, "it is not its order");
    let status = node.state::<Order>(order).await?.progress.status();
    assert_eq!(status, Status::Requested);
    node.stop().await
}

async fn an_order_cancelled_with_images_is_shown_on_the_item(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(false).await?;
    let images = Images::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    node.settled().await?;
    node.move_order(order, Status::Cancelled).await?;
    node.settled().await?;
    let item = node.item(study).await?;
    assert!(item.status().is_open(), "images are never hidden");
    assert_eq!(item.attention, [Attention::OrderCancelled]);
    node.stop().await
}

async fn images_of_an_order_that_is_cancelled_already_are_shown_so(engine: Engine) -> Result<()> {
    let node = Node::start(engine).await?;
    node.archive(true).await?;
    let images = Images::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    node.move_order(order, Status::Cancelled).await?;
    let study = node.synced(&images).await?;
    node.settled().await?;
    assert_eq!(
        node.item(study).await?.attention,
        [Attention::OrderCancelled]
    );
    assert_eq!(node.refused().await?, Vec::<String>::new());
    node.stop().await
}
