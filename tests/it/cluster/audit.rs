//! Comparison of the log with what was acknowledged, and consistency of the log itself.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_tests::TestDatabase;
use serde_json::Value;
use uuid::Uuid;

use super::load::{PatientRecord, PatientWorkload, WorkloadStep};
use crate::faults::kill_policies::audit::{nothing_twice, one_a_study, one_contribution_a_task};
use crate::faults::kill_policies::load::MODELS;
use crate::faults::kill_policies::settled;
use crate::faults::verify;
use crate::read_model_audit::{OfflineDatabase, assert_match_log, every_event};

/// Number of events by stream and type.
struct Counts(HashMap<(Uuid, String), usize>);

/// Checks that all started work is done, that every command and effect was executed once, that rows equal their folds
/// and that the chain is intact. Returns the number of patients.
pub(crate) async fn whole(database: &TestDatabase, wards: &[PatientWorkload]) -> Result<usize> {
    settled(database).await?;
    let beside = OfflineDatabase::open(database).await?;
    let events = every_event(&*beside.log, &LogFilter::default()).await?;
    let refused = beside.log.rejected_effects(10).await?;
    beside.close().await;
    ensure!(refused.is_empty(), "refused: {refused:?}");
    let counts = Counts::from_events(&events);
    let patients: Vec<&PatientRecord> = wards
        .iter()
        .flat_map(|workload| &workload.patients)
        .collect();
    for patient in &patients {
        counts
            .of_patient(patient)
            .with_context(|| format!("{patient:?}"))?;
    }
    counts.nothing_else(patients.len())?;
    effects_once(&events, patients.len())?;
    let rows = assert_match_log(database).await?;
    verify(database)?;
    eprintln!(
        "{} patients, {} events, {rows} rows equal their folds",
        patients.len(),
        events.len()
    );
    Ok(patients.len())
}

impl Counts {
    fn from_events(events: &[StoredEvent]) -> Self {
        let mut counts = HashMap::new();
        for event in events {
            let key = (event.stream_id.as_uuid(), event.event_type.to_string());
            *counts.entry(key).or_default() += 1;
        }
        Self(counts)
    }

    /// Checks that every acknowledged event exists exactly once.
    fn of_patient(&self, patient: &PatientRecord) -> Result<()> {
        ensure!(patient.step == WorkloadStep::Done, "not done");
        let order = patient.order.context("no order")?;
        let report = patient.report.context("no report")?;
        let study = patient.study.as_uuid();
        let item = patient.item();
        let mut once = vec![
            (order, "ImagingOrder.Created"),
            (order, "ImagingOrder.Completed"),
            (study, "ImagingStudy.Available"),
            (study, "ImagingStudy.SeriesAdded"),
            (study, "ImagingStudy.Linked"),
            (item, "RadiologyWorklistItem.Created"),
            (item, "RadiologyWorklistItem.Claimed"),
            (report, "RadiologyReport.Created"),
            (report, "RadiologyReport.Updated"),
            (report, "RadiologyReport.Signed"),
        ];
        once.extend(
            patient
                .tasks
                .iter()
                .map(|task| (*task, "ImagingAI.OutputCreated")),
        );
        for (stream, event) in once {
            let count = self.0.get(&(stream, event.to_owned()));
            ensure!(count == Some(&1), "{event} of {stream}: {count:?}");
        }
        Ok(())
    }

    /// Checks that the log contains no further order, study or report.
    fn nothing_else(&self, patients: usize) -> Result<()> {
        for event in [
            "ImagingOrder.Created",
            "ImagingStudy.Available",
            "RadiologyReport.Created",
        ] {
            let streams = self.0.keys().filter(|pair| pair.1 == event).count();
            ensure!(streams == patients, "{event}: {streams} of {patients}");
        }
        Ok(())
    }
}

fn effects_once(events: &[StoredEvent], patients: usize) -> Result<()> {
    nothing_twice(events)?;
    one_a_study(events, "RadiologyWorklistItem.Created", 1, patients)?;
    one_a_study(events, "ImagingAI.TaskCreated", MODELS.len(), patients)?;
    let contributions = one_contribution_a_task(events)?;
    ensure!(
        contributions == patients * MODELS.len(),
        "{contributions} contributions"
    );
    let completed = events.iter().filter(|event| completes(event)).count();
    ensure!(completed == patients, "{completed} completed items");
    Ok(())
}

fn completes(event: &StoredEvent) -> bool {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    &*event.event_type == "RadiologyWorklistItem.Updated" && payload["status"] == "completed"
}
