//! Comparison of the log with what the gateways sent: nothing is lost, nothing is duplicated.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use roentgen_domain::EventMetadata;
use roentgen_domain::ids::{EventId, StreamId};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_tests::TestDatabase;
use serde_json::Value;

use super::load::{Gateway, MODELS};
use crate::read_model_audit::{OfflineDatabase, every_event};

/// Counts of checked events.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) studies: usize,
    acknowledged: usize,
    tasks: usize,
    pub(super) contributions: usize,
    linked: usize,
    pub(super) completed: usize,
}

type Caused = HashMap<(EventId, StreamId, String), u32>;

pub(super) async fn audit(database: &TestDatabase, gateways: &[Gateway]) -> Result<Found> {
    let beside = OfflineDatabase::open(database).await?;
    let events = every_event(&*beside.log, &LogFilter::default()).await?;
    let refused = beside.log.rejected_effects(10).await?;
    beside.close().await;
    ensure!(refused.is_empty(), "refused: {refused:?}");
    nothing_twice(&events)?;
    let of = |name: &'static str| {
        events
            .iter()
            .filter(move |event| &*event.event_type == name)
    };
    let studies: HashSet<StreamId> = of("ImagingStudy.Available")
        .map(|event| event.stream_id)
        .collect();
    let mut found = Found {
        studies: studies.len(),
        tasks: of("ImagingAI.TaskCreated").count(),
        linked: of("ImagingStudy.Linked").count(),
        completed: of("ImagingOrder.Completed").count(),
        ..Found::default()
    };
    for told in gateways.iter().flat_map(|gateway| &gateway.studies) {
        ensure!(studies.contains(&told.id.into()), "{told:?} is lost");
        found.acknowledged += usize::from(told.acknowledged);
    }
    ensure!(
        of("ImagingStudy.Available").count() == studies.len(),
        "a study twice"
    );
    one_a_study(&events, "RadiologyWorklistItem.Created", 1, studies.len())?;
    one_a_study(
        &events,
        "ImagingAI.TaskCreated",
        MODELS.len(),
        studies.len(),
    )?;
    found.contributions = one_contribution_a_task(&events)?;
    ensure!(found.contributions == found.tasks, "{found:?}");
    ensure!(
        found.linked == of("ImagingOrder.Created").count(),
        "{found:?}"
    );
    ensure!(found.completed == found.linked, "{found:?}");
    Ok(found)
}

/// Checks that no two events of policies have the same cause, stream and type.
pub(crate) fn nothing_twice(events: &[StoredEvent]) -> Result<()> {
    let mut caused = Caused::new();
    for event in events {
        let metadata: EventMetadata = serde_json::from_str(&event.metadata)?;
        let Some(cause) = metadata.causation_id else {
            continue;
        };
        let name = event.event_type.to_string();
        let count = caused.entry((cause, event.stream_id, name)).or_default();
        *count += 1;
        ensure!(*count == 1, "a second time: {event:?}");
    }
    Ok(())
}

pub(crate) fn one_a_study(
    events: &[StoredEvent],
    name: &str,
    each: usize,
    studies: usize,
) -> Result<()> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for event in events.iter().filter(|event| *event.event_type == *name) {
        let payload: Value = serde_json::from_str(&event.payload)?;
        let study = payload["imaging_study_id"].as_str().context("no study")?;
        *counts.entry(study.to_owned()).or_default() += 1;
    }
    ensure!(
        counts.len() == studies && counts.values().all(|count| *count == each),
        "{name}: {} of {studies} studies, {counts:?}",
        counts.len()
    );
    Ok(())
}

/// Checks that each task contributes once, even if a worker sent its result repeatedly. Returns the number of
/// contributions.
pub(crate) fn one_contribution_a_task(events: &[StoredEvent]) -> Result<usize> {
    let mut contributed = HashSet::new();
    let updated = events
        .iter()
        .filter(|event| &*event.event_type == "RadiologyWorklistItem.Updated");
    for event in updated {
        let payload: Value = serde_json::from_str(&event.payload)?;
        let task = payload.pointer("/ai_contribution/imaging_ai_task_id");
        if let Some(task) = task.and_then(Value::as_str) {
            ensure!(contributed.insert(task.to_owned()), "twice: {payload}");
        }
    }
    Ok(contributed.len())
}
