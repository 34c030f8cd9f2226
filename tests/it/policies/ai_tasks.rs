//! AI tasks created by policies, and the use of their results.

use std::sync::Arc;

use anyhow::Result;
use roentgen_domain::ai_model::{AiModel, Changes, TaskType};
use roentgen_domain::ai_task::{AiTask, Command, NewOutput, NewTask, OutputType, Payload, task_id};
use roentgen_domain::catalog;
use roentgen_domain::codes::AiModelCode;
use roentgen_domain::ids::{AiModelId, StudyId, WorklistItemId};
use roentgen_domain::json::Json;
use roentgen_domain::order::Priority;
use roentgen_domain::score::Score;
use roentgen_domain::worklist_item::WorklistItem;
use roentgen_tests::{EngineKind, TestDatabase};
use serde_json::json;

use super::TestNode;
use super::fixtures::{TestStudy, text};
use super::runner::every_policy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    models_that_match_are_asked_for_what_they_can_by_themselves,
    a_model_out_of_use_is_not_asked,
    so_many_models_of_a_tenant_are_asked_by_themselves,
    the_highest_score_counts_and_every_flag,
    a_result_that_is_older_than_the_item_counts,
);

async fn models_that_match_are_asked_for_what_they_can_by_themselves(
    engine: EngineKind,
) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let all = json!({ "triage": true, "quality": true, "pre_report": true, "comparison": true });
    let any = node.model("ANY", json!({ "capabilities": all })).await?;
    let head = json!({ "modality_code": "CT", "body_part": "head" });
    let head = node.model("HEAD_CT", head).await?;
    node.model("CHEST", json!({ "body_part": "CHEST" })).await?;
    node.model("MR", json!({ "modality_code": "MR" })).await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    let asked = [
        (any, TaskType::Triage),
        (any, TaskType::Quality),
        (any, TaskType::PreReport),
        (head, TaskType::Triage),
    ];
    for (model, task_type) in asked {
        let task = task_id(study, model, task_type, 1);
        node.state::<AiTask>(task).await?;
    }
    let created = node.events("ImagingAI.TaskCreated").await?;
    assert_eq!(created.len(), asked.len(), "{created:?}");
    node.stop().await
}

async fn so_many_models_of_a_tenant_are_asked_by_themselves(engine: EngineKind) -> Result<()> {
    const MOST_ASKED: usize = 64;
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let mut models = Vec::new();
    for n in 0..=MOST_ASKED {
        models.push(node.model(&format!("M{n}"), json!({})).await?);
    }
    let asked = async || {
        let study = node.synced(&TestStudy::new()).await?;
        node.wait_until_idle().await?;
        let mut asked = Vec::new();
        for model in &models {
            let task = task_id(study, *model, TaskType::Triage, 1);
            asked.push(node.maybe::<AiTask>(task).await?.is_some());
        }
        anyhow::Ok(asked)
    };
    let all = vec![true; MOST_ASKED];
    let last = vec![false];
    assert_eq!(asked().await?, [all.clone(), last].concat());
    let becomes = async |model: AiModelId, is_active| {
        let changes = Changes {
            is_active: Some(is_active),
            ..Changes::default()
        };
        let change = catalog::Command::Update(Box::new(changes));
        node.execute::<AiModel>(model, change).await
    };
    becomes(models[0], false).await?;
    becomes(models[MOST_ASKED], false).await?;
    becomes(models[MOST_ASKED], true).await?;
    assert_eq!(asked().await?, [vec![false], all].concat());
    node.stop().await
}

async fn a_model_out_of_use_is_not_asked(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let model = node.model("OLD", json!({})).await?;
    let out_of_use = Changes {
        is_active: Some(false),
        ..Changes::default()
    };
    node.execute::<AiModel>(model, catalog::Command::Update(Box::new(out_of_use)))
        .await?;
    node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    assert!(node.events("ImagingAI.TaskCreated").await?.is_empty());
    node.stop().await
}

async fn the_highest_score_counts_and_every_flag(engine: EngineKind) -> Result<()> {
    let node = TestNode::start(engine).await?;
    node.archive(true).await?;
    let high = node.model("HIGH", json!({})).await?;
    let low = node.model("LOW", json!({})).await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    found(&node, study, high, 0.92, "ICH_suspected").await?;
    found(&node, study, low, 0.15, "motion").await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.triage.score(), Some(Score::parse(0.92)?));
    assert_eq!(item.triage.flags(), [text("ICH_suspected"), text("motion")]);
    assert_eq!(item.triage.contributions().len(), 2);
    assert_eq!(item.priority, Priority::Routine, "that is a clinician's");
    node.stop().await
}

/// A user created the task, and the worker was faster than the policies.
async fn a_result_that_is_older_than_the_item_counts(engine: EngineKind) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let node = TestNode::without_policies(database, fresh().into()).await?;
    node.archive(true).await?;
    let model = node.model("FAST", json!({})).await?;
    let images = TestStudy::new();
    let study = node.synced(&images).await?;
    let task = NewTask {
        imaging_study_id: study,
        patient_id: images.patient,
        ai_model_id: model,
        ai_model_code: AiModelCode::parse("FAST")?,
        task_type: TaskType::Triage,
        attempt: 1,
    };
    let id = task_id(study, model, TaskType::Triage, 1);
    node.execute::<AiTask>(id, Command::Create(Box::new(task)))
        .await?;
    found(&node, study, model, 0.92, "ICH_suspected").await?;
    let item = WorklistItemId::derive(study);
    assert!(node.maybe::<WorklistItem>(item).await?.is_none());
    node.run(every_policy()).await?;
    node.wait_until_idle().await?;
    let item = node.item(study).await?;
    assert_eq!(item.triage.score(), Some(Score::parse(0.92)?));
    assert_eq!(item.triage.flags(), [text("ICH_suspected")]);
    assert_eq!(node.events("ImagingAI.TaskCreated").await?.len(), 1);
    node.stop().await
}

/// Adds the result of a model's worker.
async fn found(
    node: &TestNode,
    study: StudyId,
    model: AiModelId,
    score: f64,
    flag: &str,
) -> Result<()> {
    let task = task_id(study, model, TaskType::Triage, 1);
    let payload = Json::from_serializable(&json!({ "triage_score": score, "flags": [flag] }))?;
    let payload = Payload::parse(OutputType::Triage, &payload).unwrap();
    let add = Command::AddOutput(Box::new(NewOutput { payload }));
    node.execute::<AiTask>(task, add).await.map(drop)
}
