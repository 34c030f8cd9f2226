//! Idle claims, and critical results that were not communicated.

use std::time::{Duration, Instant};

use anyhow::Result;
use roentgen_domain::report::{Command, ContentEdit, Edit};
use roentgen_domain::worklist_item::Status;
use roentgen_tests::EngineKind;
use serde_json::Value;

use super::TestNode;
use super::fixtures::TestStudy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    an_idle_claim_is_released,
    a_claim_is_not_idle_while_its_holder_writes,
    a_timer_outlives_the_process,
    a_critical_result_that_nobody_was_told_of_is_overdue_once,
);

const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);

async fn an_idle_claim_is_released(engine: EngineKind) -> Result<()> {
    let node = TestNode::start_with(engine, CLAIM_TIMEOUT).await?;
    node.archive(true).await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    node.claimed(study, fresh().into()).await?;
    let released = node
        .wait_for_events("RadiologyWorklistItem.Released", 1)
        .await?;
    let payload: Value = serde_json::from_str(&released[0].payload)?;
    assert_eq!(payload["reason"], "idle");
    assert_eq!(node.item(study).await?.status(), Status::Pending);
    node.wait_until_idle().await?;
    assert_eq!(node.events("RadiologistCaseload.CaseFreed").await?.len(), 1);
    node.stop().await
}

/// The holder writes for three times the claim timeout, then stops.
async fn a_claim_is_not_idle_while_its_holder_writes(engine: EngineKind) -> Result<()> {
    let node = TestNode::start_with(engine, CLAIM_TIMEOUT).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    let begun = Instant::now();
    let mut edits = 0;
    while begun.elapsed() < 3 * CLAIM_TIMEOUT {
        edits += 1;
        node.edited(study, anna, &format!("no haemorrhage ({edits})"))
            .await?;
        assert_eq!(node.item(study).await?.holder(), Some(anna));
    }
    let written = node.events("RadiologyReport.Updated").await?;
    let released = node
        .wait_for_events("RadiologyWorklistItem.Released", 1)
        .await?;
    let last = written.last().map_or(0, |event| event.recorded_at_ms);
    let idle_for = released[0].recorded_at_ms - last;
    assert!(
        idle_for >= i64::try_from(CLAIM_TIMEOUT.as_millis())?,
        "released {idle_for} ms after the last of {edits} edits"
    );
    node.stop().await
}

async fn a_timer_outlives_the_process(engine: EngineKind) -> Result<()> {
    let node = TestNode::start_with(engine, CLAIM_TIMEOUT).await?;
    node.archive(true).await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    node.claimed(study, fresh().into()).await?;
    node.wait_until_idle().await?;
    let next = node.second_node().await?;
    node.stop().await?;
    next.run(roentgen_commands::policies::all(
        roentgen_commands::policies::PolicySettings {
            claim_timeout: CLAIM_TIMEOUT,
        },
    ))
    .await?;
    next.wait_for_events("RadiologyWorklistItem.Released", 1)
        .await?;
    next.stop().await
}

async fn a_critical_result_that_nobody_was_told_of_is_overdue_once(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    let critical = Edit {
        radiologist_id: anna,
        written: ContentEdit::default(),
        sections: Vec::new(),
        critical_result: Some(true),
    };
    node.say(study, anna, Command::Edit(Box::new(critical)))
        .await?;
    node.signed(study, anna, true).await?;
    node.wait_for_events("RadiologyReport.CriticalResultOverdue", 1)
        .await?;
    node.wait_until_idle().await?;
    let overdue = node.events("RadiologyReport.CriticalResultOverdue").await?;
    assert_eq!(overdue.len(), 1);
    node.stop().await
}
