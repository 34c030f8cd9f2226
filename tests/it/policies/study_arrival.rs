//! Arrival of a study: it is on the worklist, once.

use anyhow::Result;
use roentgen_domain::order::Priority;
use roentgen_domain::study::Study;
use roentgen_domain::worklist_item::Status;
use roentgen_domain::{Change, EventMetadata};
use roentgen_tests::EngineKind;
use serde_json::json;
use tokio::task::JoinSet;

use super::TestNode;
use super::fixtures::TestStudy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_study_is_put_on_the_worklist,
    a_study_told_of_by_many_at_once_is_one_item_and_one_task_a_model,
    one_request_is_one_correlation_to_the_last_consequence,
    what_a_person_cancelled_does_not_come_back,
);

async fn a_study_is_put_on_the_worklist(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.priority, Priority::Routine);
    assert_eq!(item.patient_id, images.patient);
    assert_eq!(node.refused().await?, Vec::<String>::new());
    node.stop().await
}

async fn a_study_told_of_by_many_at_once_is_one_item_and_one_task_a_model(
    engine: EngineKind,
) -> Result<()> {
    let node = std::sync::Arc::new(TestNode::start(engine).await?);
    node.archive(true).await?;
    for code in ["ONE", "TWO"] {
        let both = json!({ "capabilities": { "triage": true, "quality": true } });
        node.model(code, both).await?;
    }
    let images = TestStudy::new();
    let mut telling = JoinSet::new();
    for _ in 0..32 {
        let node = std::sync::Arc::clone(&node);
        let images = images.clone();
        telling.spawn(async move { node.synced(&images).await });
    }
    while let Some(told) = telling.join_next().await {
        told??;
    }
    node.wait_until_idle().await?;
    for (event, count) in [
        ("ImagingStudy.Available", 1),
        ("RadiologyWorklistItem.Created", 1),
        ("ImagingAI.TaskCreated", 4),
    ] {
        assert_eq!(node.events(event).await?.len(), count, "{event}");
    }
    Ok(())
}

async fn one_request_is_one_correlation_to_the_last_consequence(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    node.model("TRIAGE", json!({})).await?;
    let images = TestStudy::accessioned();
    let order = node.ordered(&images, json!({})).await?;
    let correlation = fresh().into();
    let request = node.request(None, correlation);
    let sync = super::RawCommand::<Study> {
        id: node.study_id(&images).into(),
        command: node.sync(&images),
    };
    node.executor.execute(&request, &sync).await?;
    node.wait_until_idle().await?;
    for event in [
        "RadiologyWorklistItem.Created",
        "ImagingAI.TaskCreated",
        "ImagingStudy.Linked",
        "ImagingOrder.Completed",
    ] {
        let events = node.events(event).await?;
        assert_eq!(events.len(), 1, "{event} of {order}");
        let metadata: EventMetadata = serde_json::from_str(&events[0].metadata)?;
        assert_eq!(metadata.correlation_id, correlation, "{event}");
        assert!(metadata.causation_id.is_some(), "{event}");
        assert_eq!(metadata.actor.sub, "system", "{event}");
    }
    node.stop().await
}

async fn what_a_person_cancelled_does_not_come_back(engine: EngineKind) -> Result<()> {
    use roentgen_domain::ids::WorklistItemId;
    use roentgen_domain::worklist_item::{
        Authority, Command, RequestedStatus, Update, WorklistItem,
    };
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    let cancel = Command::Update(Box::new(Update {
        status: Some(RequestedStatus::Cancelled),
        authority: Authority::Any,
        priority: None,
        assign: Change::Keep,
        ai_triage_score: Change::Keep,
        ai_triage_flags: Change::Keep,
    }));
    node.execute::<WorklistItem>(WorklistItemId::derive(study), cancel)
        .await?;
    node.synced(&images.and_more()).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::Cancelled);
    node.stop().await
}
