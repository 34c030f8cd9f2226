//! Linking of studies and orders, and its effects.

use std::sync::Arc;

use anyhow::Result;
use roentgen_domain::Change;
use roentgen_domain::ids::{OrderId, StudyId};
use roentgen_domain::order::{Lifecycle, Order, Priority, Status};
use roentgen_domain::study::{Command, OrderLinkStatus, ReferencedOrder, Study, Update};
use roentgen_domain::worklist_item::Attention;
use roentgen_tests::{EngineKind, TestDatabase};
use serde_json::json;

use super::TestNode;
use super::fixtures::TestStudy;
use super::runner::every_policy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    images_that_came_before_their_order_are_linked_with_it,
    a_stat_order_raises_the_item_that_is_there_already,
    an_order_completes_when_its_images_end,
    an_endpoint_that_completes_no_order_leaves_it_open,
    an_order_of_another_patient_is_a_conflict_and_no_link,
    an_order_cancelled_with_images_is_shown_on_the_item,
    images_of_an_order_that_is_cancelled_already_are_shown_so,
    a_study_that_a_person_links_to_another_order_is_shown_as_cancelled_no_more,
    an_order_that_a_study_answers_no_more_does_nothing_to_its_item,
    a_link_that_stands_no_more_when_it_is_looked_at_leads_to_nothing,
);

async fn images_that_came_before_their_order_are_linked_with_it(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.case.imaging_order_id, None);
    let order = node.ordered(&images, json!({})).await?;
    node.wait_until_idle().await?;
    let linked = node.state::<Study>(study).await?;
    assert_eq!(linked.linking.order(), Some(order));
    assert_eq!(node.item(study).await?.case.imaging_order_id, Some(order));
    assert_eq!(node.events("ImagingStudy.Linked").await?.len(), 1);
    node.stop().await
}

async fn a_stat_order_raises_the_item_that_is_there_already(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.priority, Priority::Routine);
    node.ordered(&images, json!({ "priority": "stat" })).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.priority, Priority::Stat);
    node.stop().await
}

async fn an_order_completes_when_its_images_end(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let mut images = TestStudy::accessioned();
    images.ended_at = Some("2026-01-31T09:30:00Z");
    let order = node.ordered(&images, json!({})).await?;
    node.synced(&images).await?;
    node.wait_until_idle().await?;
    let Lifecycle::Completed {
        performed_end_at, ..
    } = node.state::<Order>(order).await?.progress
    else {
        anyhow::bail!("the order is open");
    };
    assert_eq!(performed_end_at, "2026-01-31T09:30:00Z".parse()?);
    node.stop().await
}

async fn an_endpoint_that_completes_no_order_leaves_it_open(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(false).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    let status = node.state::<Order>(order).await?.progress.status();
    assert_eq!(status, Status::Requested);
    assert_eq!(node.item(study).await?.case.imaging_order_id, Some(order));
    node.stop().await
}

async fn an_order_of_another_patient_is_a_conflict_and_no_link(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let study = node.synced(&images).await?;
    let stat = json!({ "priority": "stat" });
    let order = node.ordered_for(fresh().into(), &images, stat).await?;
    node.wait_until_idle().await?;
    let linking = node.state::<Study>(study).await?.linking;
    assert_eq!(linking.name(), OrderLinkStatus::Conflict);
    let item = node.item(study).await?;
    assert_eq!(item.attention, [Attention::LinkConflict]);
    assert_eq!(item.priority, Priority::Routine, "it is not its order");
    let status = node.state::<Order>(order).await?.progress.status();
    assert_eq!(status, Status::Requested);
    node.stop().await
}

async fn an_order_cancelled_with_images_is_shown_on_the_item(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(false).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.move_order(order, Status::Cancelled).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert!(item.status().is_open(), "images are never hidden");
    assert_eq!(item.attention, [Attention::OrderCancelled]);
    node.stop().await
}

async fn images_of_an_order_that_is_cancelled_already_are_shown_so(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    node.move_order(order, Status::Cancelled).await?;
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    assert_eq!(
        node.item(study).await?.attention,
        [Attention::OrderCancelled]
    );
    assert_eq!(node.refused().await?, Vec::<String>::new());
    node.stop().await
}

/// Links a study to this order manually.
async fn links(node: &TestNode, study: StudyId, order: OrderId) -> Result<()> {
    let settle = Command::Update(Box::new(Update {
        order: Change::Set(ReferencedOrder::SamePatient(order)),
        ..Update::default()
    }));
    node.execute::<Study>(study, settle).await.map(drop)
}

/// Creates another order for the patient of these images.
async fn another_order(node: &TestNode, images: &TestStudy) -> Result<OrderId> {
    let number = TestStudy::accessioned();
    node.ordered_for(images.patient, &number, json!({})).await
}

async fn a_study_that_a_person_links_to_another_order_is_shown_as_cancelled_no_more(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(false).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    node.move_order(order, Status::Cancelled).await?;
    node.wait_until_idle().await?;
    let shown = node.item(study).await?.attention;
    assert_eq!(shown, [Attention::OrderCancelled]);
    let other = another_order(&node, &images).await?;
    links(&node, study, other).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.case.imaging_order_id, Some(other));
    assert_eq!(item.attention, []);
    node.stop().await
}

async fn an_order_that_a_study_answers_no_more_does_nothing_to_its_item(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(false).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let study = node.synced(&images).await?;
    let other = another_order(&node, &images).await?;
    node.wait_until_idle().await?;
    links(&node, study, other).await?;
    node.wait_until_idle().await?;
    node.move_order(order, Status::Cancelled).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.case.imaging_order_id, Some(other));
    assert_eq!(item.attention, []);
    assert_eq!(node.refused().await?, Vec::<String>::new());
    node.stop().await
}

/// The manual link was written before the policies processed the first one.
async fn a_link_that_stands_no_more_when_it_is_looked_at_leads_to_nothing(
    engine: EngineKind,
) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let node = TestNode::without_policies(database, fresh().into()).await?;
    node.archive(true).await?;
    let images = TestStudy::accessioned();
    let wrong = node.ordered(&images, json!({ "priority": "stat" })).await?;
    let right = another_order(&node, &images).await?;
    let study = node.synced(&images).await?;
    let link = Command::Link { order_id: wrong };
    node.execute::<Study>(study, link).await?;
    links(&node, study, right).await?;
    node.run(every_policy()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.case.imaging_order_id, Some(right));
    assert_eq!(item.priority, Priority::Routine);
    let open = node.state::<Order>(wrong).await?.progress.status();
    assert_eq!(open, Status::Requested, "nothing was done for it");
    let done = node.state::<Order>(right).await?.progress.status();
    assert_eq!(done, Status::Completed);
    node.stop().await
}
