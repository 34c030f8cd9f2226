//! Internal failures that policies survive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use roentgen_commands::policies::{Cause, Effect, Policy, PolicyMemory};
use roentgen_domain::ids::WorklistItemId;
use roentgen_store::error::EventReadError;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestDatabase};

use super::TestNode;
use super::fixtures::TestStudy;
use super::runner::every_policy;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    a_damaged_key_of_one_patient_holds_up_nobody_else,
    policies_that_panic_are_started_again,
);

/// The policies run on a node that has not cached the key before it was corrupted.
async fn a_damaged_key_of_one_patient_holds_up_nobody_else(engine: EngineKind) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let wrote = TestNode::without_policies(database, fresh().into()).await?;
    wrote.archive(true).await?;
    let damaged = TestStudy::new();
    let whole = TestStudy::new();
    let unread = wrote.synced(&damaged).await?;
    let read = wrote.synced(&whole).await?;
    let mut keys = RawDatabase::on(&wrote.database, DbFile::Keys).await?;
    let patient = keys.id(damaged.patient.as_uuid());
    let altered = match engine {
        EngineKind::Sqlite => "zeroblob(length(wrapped))",
        EngineKind::Postgres => "overlay(wrapped placing 'altered' from 1)",
    };
    let alter = format!("UPDATE patient_keys SET wrapped = {altered} WHERE patient = {patient}");
    assert_eq!(keys.run(&alter).await?, 1);
    let leads = wrote.second_node().await?;
    leads.run(every_policy()).await?;
    leads.wait_until_idle().await?;
    assert!(leads.item(read).await?.status().is_open());
    let effect = format!("arrived.create_item {}", WorklistItemId::derive(unread));
    assert_eq!(leads.refused().await?, [effect]);
    leads.stop().await?;
    wrote.stop().await
}

/// Policy that panics at its first events.
#[derive(Debug)]
struct Panics(Arc<AtomicU32>);

const PANICS: u32 = 2;

#[async_trait::async_trait]
impl Policy for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &["ImagingStudy.Available"]
    }

    fn react(
        &self,
        _cause: &Cause<'_>,
        _recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let told = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(told >= PANICS, "a policy panics");
        Ok(Vec::new())
    }
}

async fn policies_that_panic_are_started_again(engine: EngineKind) -> Result<()> {
    let database = Arc::new(TestDatabase::new(engine).await?);
    let node = TestNode::without_policies(database, fresh().into()).await?;
    let told = Arc::new(AtomicU32::new(0));
    let mut policies = every_policy();
    policies.push(Arc::new(Panics(Arc::clone(&told))));
    node.run(policies).await?;
    node.archive(true).await?;
    let study = node.synced(&TestStudy::new()).await?;
    node.wait_until_idle().await?;
    assert!(node.item(study).await?.status().is_open());
    assert_eq!(told.load(Ordering::Relaxed), PANICS + 1);
    node.stop().await
}
