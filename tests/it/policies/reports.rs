//! Effects of a report on its worklist item.

use std::sync::Arc;

use anyhow::Result;
use roentgen_commands::report::EditReport;
use roentgen_domain::caseload::Caseload;
use roentgen_domain::ids::{CaseloadId, PractitionerId, ReportId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{Cancel, Command, ContentEdit, Edit};
use roentgen_domain::worklist_item::Status;
use roentgen_tests::{EngineKind, TestDatabase};

use super::TestNode;
use super::fixtures::{TestStudy, text};
use super::runner::every_policy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_report_takes_its_item_through_to_completed,
    a_preliminary_signature_completes_nothing,
    a_cancelled_report_leaves_the_item_claimed,
    a_report_that_is_older_than_its_item_begins_it_with_the_next_word,
);

async fn open_cases(node: &TestNode, of: PractitionerId) -> Result<usize> {
    let caseload = CaseloadId::derive(node.tenant, of);
    let caseload = node.maybe::<Caseload>(caseload).await?;
    Ok(caseload.map_or(0, |caseload| caseload.state.open_cases.len()))
}

async fn a_report_takes_its_item_through_to_completed(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::InProgress);
    assert_eq!(open_cases(&node, anna).await?, 1);
    node.signed(study, anna, true).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::Completed);
    assert_eq!(open_cases(&node, anna).await?, 0, "the place is free");
    node.stop().await
}

async fn a_preliminary_signature_completes_nothing(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    node.signed(study, anna, false).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::InProgress);
    node.stop().await
}

async fn a_cancelled_report_leaves_the_item_claimed(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.wait_until_idle().await?;
    node.claimed(study, anna).await?;
    node.reported(&images, study, anna).await?;
    node.wait_until_idle().await?;
    let cancel = Command::Cancel(Cancel {
        radiologist_id: anna,
        reason: PhiText::new(text("wrong study")),
    });
    node.say(study, anna, cancel).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::Claimed);
    assert_eq!(item.holder(), Some(anna));
    node.stop().await
}

async fn a_report_that_is_older_than_its_item_begins_it_with_the_next_word(
    engine: EngineKind,
) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let node = TestNode::without_policies(database, fresh().into()).await?;
    node.archive(true).await?;
    let images = TestStudy::new();
    let anna = fresh().into();
    let study = node.synced(&images).await?;
    node.reported(&images, study, anna).await?;
    node.run(every_policy()).await?;
    node.wait_until_idle().await?;
    assert_eq!(node.item(study).await?.status(), Status::Pending);
    let edit = EditReport {
        id: ReportId::derive(study),
        edit: Edit {
            radiologist_id: anna,
            written: ContentEdit::default(),
            sections: Vec::new(),
            critical_result: Some(true),
        },
    };
    let request = node.request(Some(anna), fresh().into());
    node.executor.execute(&request, &edit).await?;
    let item = node.item(study).await?;
    assert_eq!(item.status(), Status::InProgress);
    assert_eq!(item.holder(), Some(anna));
    node.stop().await
}
