//! Growth of a study: selects the series and instances that are new, and writes them in events of bounded size.

use std::collections::{BTreeMap, BTreeSet};

use super::StudyRef;
use crate::ids::{InstanceId, SeriesId, StudyId};
use crate::study::series_index::{
    estimated_change_bytes, estimated_instance_bytes, estimated_series_bytes,
    estimated_update_bytes, max_of_stated_and_listed,
};
use crate::study::{
    AddedInstance, AddedSeries, Event, IndexedSeries, InstanceAttributes, InstancesAdded,
    SeriesAdded, SeriesAttributes, SeriesChange, SeriesIndex, SeriesInstances, Study, SyncedSeries,
    Updated,
};

/// Maximum size of one event by estimated bytes, well below 256 KiB.
const MAX_CHUNK_BYTES: usize = 200 * 1024;

/// Series of a sync, each once: duplicate entries are merged.
pub(super) struct MergedSeries(Vec<(SeriesId, SyncedSeries)>);

impl MergedSeries {
    pub(super) fn merge_all(series: Vec<SyncedSeries>, study_id: StudyId) -> Self {
        let mut places: BTreeMap<SeriesId, usize> = BTreeMap::new();
        let mut told: Vec<(SeriesId, SyncedSeries)> = Vec::with_capacity(series.len());
        for synced in series {
            let id = SeriesId::derive(study_id, &synced.facts.series_instance_uid);
            let place = *places.entry(id).or_insert(told.len());
            match told.get_mut(place) {
                Some((_, first)) => first.merge(synced),
                None => told.push((id, synced)),
            }
        }
        Self(told)
    }
}

impl SyncedSeries {
    fn merge(&mut self, again: Self) {
        let facts = &mut self.facts;
        facts.series_number = again.facts.series_number.or(facts.series_number);
        facts.body_part = again.facts.body_part.or(facts.body_part.take());
        facts.modality_code = again.facts.modality_code.or(facts.modality_code.take());
        facts.number_of_instances = again
            .facts
            .number_of_instances
            .or(facts.number_of_instances);
        facts.description = again.facts.description.or(facts.description.take());
        self.instances.extend(again.instances);
    }
}

/// Content of a study while events are added to it.
pub(super) struct StudyAdditions {
    whose: StudyRef,
    content: SeriesIndex,
    number_of_series: u32,
    number_of_instances: u32,
}

impl StudyAdditions {
    pub(super) fn of_new(whose: StudyRef) -> Self {
        Self {
            whose,
            content: SeriesIndex::default(),
            number_of_series: 0,
            number_of_instances: 0,
        }
    }

    pub(super) fn merge_all(study: &Study, whose: StudyRef) -> Self {
        Self {
            whose,
            content: (*study.content).clone(),
            number_of_series: study.number_of_series,
            number_of_instances: study.number_of_instances,
        }
    }

    /// Merges reported attributes into known series. Returns the changes in chunks that each fit into an event; the
    /// last chunk has the final number of instances, if changed.
    pub(super) fn change(&mut self, told: &MergedSeries) -> Vec<Updated> {
        let known = told.0.iter().filter_map(|(id, series)| {
            let known = self.content.series(*id)?;
            changed(*id, known, &series.facts)
        });
        let changes: Vec<SeriesChange> = known.collect();
        let before = self.number_of_instances;
        self.content.change_series(&changes);
        self.count();
        let chunks = chunk_by_size(changes, estimated_change_bytes).into_iter();
        let mut updates: Vec<Updated> = chunks
            .map(|chunk| series_update(chunk, self.whose))
            .collect();
        if let Some(last) = updates.last_mut() {
            last.number_of_instances =
                super::if_changed(Some(self.number_of_instances), Some(&before));
        }
        updates
    }

    /// Returns the events that add new series and instances.
    pub(super) fn add(mut self, told: MergedSeries) -> Vec<Event> {
        let mut events = Vec::new();
        let mut series = Vec::new();
        let mut instances = Vec::new();
        for (
            id,
            SyncedSeries {
                facts,
                instances: listed,
            },
        ) in told.0
        {
            let known = self.content.series(id);
            let new = new_instances(id, known, listed);
            if known.is_none() {
                series.push(AddedSeries {
                    series_id: id,
                    facts,
                });
            }
            instances.push((id, new));
        }
        for chunk in chunk_by_size(series, |series| estimated_series_bytes(&series.facts)) {
            events.push(self.series_added(chunk));
        }
        for chunk in chunks_by_series(instances) {
            events.push(self.instances_added(chunk));
        }
        events
    }

    fn series_added(&mut self, series: Vec<AddedSeries>) -> Event {
        self.content.add_series(&series);
        self.count();
        Event::SeriesAdded(SeriesAdded {
            study_id: self.whose.study_id,
            patient_id: self.whose.patient_id,
            series,
            number_of_series: self.number_of_series,
            number_of_instances: self.number_of_instances,
        })
    }

    fn instances_added(&mut self, added: Vec<(SeriesId, Vec<AddedInstance>)>) -> Event {
        let series = added.into_iter().map(|(series_id, instances)| {
            let known = self.content.series(series_id);
            let number_of_instances = known.map_or_else(
                || max_of_stated_and_listed(None, instances.len()),
                |series| series.number_with(instances.len()),
            );
            SeriesInstances {
                series_id,
                number_of_instances,
                instances,
            }
        });
        let series: Vec<SeriesInstances> = series.collect();
        self.content.add_instances(&series);
        self.count();
        Event::InstancesAdded(InstancesAdded {
            study_id: self.whose.study_id,
            patient_id: self.whose.patient_id,
            series,
            number_of_instances: self.number_of_instances,
        })
    }

    /// Updates the counts to the larger of the stated and the listed number. A larger previous count was stated.
    fn count(&mut self) {
        self.number_of_series = self.number_of_series.max(self.content.number_of_series());
        let instances = self.content.number_of_instances();
        self.number_of_instances = self.number_of_instances.max(instances);
    }
}

fn series_update(series: Vec<SeriesChange>, whose: StudyRef) -> Updated {
    Updated {
        series,
        ..super::empty_update(whose)
    }
}

/// Returns the study's changes, followed by those of the series. Both go into one event if they fit. Patient
/// demographics are sealed and are never combined with series.
pub(super) fn merge_study_and_series_updates(
    own: Updated,
    mut of_series: Vec<Updated>,
) -> Vec<Updated> {
    let weight = estimated_update_bytes(&own);
    let bare = own.phi.is_none();
    let fits = |updated: &&mut Updated| {
        bare && weight + estimated_update_bytes(updated) <= MAX_CHUNK_BYTES
    };
    match of_series.first_mut().filter(fits) {
        Some(first) => {
            *first = Updated {
                series: std::mem::take(&mut first.series),
                number_of_instances: first.number_of_instances,
                ..own
            };
        }
        None => of_series.insert(0, own),
    }
    of_series
}

fn changed(
    series_id: SeriesId,
    known: &IndexedSeries,
    told: &SeriesAttributes,
) -> Option<SeriesChange> {
    let facts = &known.facts;
    let stated = told.number_of_instances;
    let number = stated.map(|stated| known.number_where_stated(stated));
    let change = SeriesChange {
        series_id,
        series_number: super::if_changed(told.series_number, facts.series_number.as_ref()),
        body_part: super::if_changed(told.body_part.clone(), facts.body_part.as_ref()),
        modality_code: super::if_changed(told.modality_code.clone(), facts.modality_code.as_ref()),
        number_of_instances: super::if_changed(number, facts.number_of_instances.as_ref()),
        description: super::if_changed(told.description.clone(), facts.description.as_ref()),
    };
    let mut after = facts.clone();
    change.apply(&mut after);
    (after != *facts).then_some(change)
}

/// Returns the instances that are not listed yet, each once.
fn new_instances(
    series_id: SeriesId,
    known: Option<&IndexedSeries>,
    listed: Vec<InstanceAttributes>,
) -> Vec<AddedInstance> {
    let mut seen: BTreeSet<InstanceId> = BTreeSet::new();
    let new = listed.into_iter().filter_map(|facts| {
        let id = InstanceId::derive(series_id, &facts.sop_instance_uid);
        let is_new = known.is_none_or(|series| !series.has(id)) && seen.insert(id);
        is_new.then(|| AddedInstance::new(id, facts))
    });
    new.collect()
}

/// Splits items in order into chunks that fit into an event. A single item above the limit makes a chunk of its own.
fn chunk_by_size<T>(items: Vec<T>, weight: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut filled = MAX_CHUNK_BYTES;
    for item in items {
        let weight = weight(&item);
        match chunks
            .last_mut()
            .filter(|_| filled + weight <= MAX_CHUNK_BYTES)
        {
            Some(chunk) => {
                chunk.push(item);
                filled += weight;
            }
            None => {
                chunks.push(vec![item]);
                filled = weight;
            }
        }
    }
    chunks
}

/// Splits instances into chunks that fit into an event, grouped by series.
fn chunks_by_series(
    series: Vec<(SeriesId, Vec<AddedInstance>)>,
) -> Vec<Vec<(SeriesId, Vec<AddedInstance>)>> {
    let flat = series.into_iter().flat_map(|(id, instances)| {
        let of_series = move |instance| (id, instance);
        instances.into_iter().map(of_series)
    });
    let weight = |(_, instance): &(SeriesId, AddedInstance)| estimated_instance_bytes(instance);
    let chunks = chunk_by_size(flat.collect(), weight);
    chunks.into_iter().map(grouped).collect()
}

fn grouped(chunk: Vec<(SeriesId, AddedInstance)>) -> Vec<(SeriesId, Vec<AddedInstance>)> {
    let mut groups: Vec<(SeriesId, Vec<AddedInstance>)> = Vec::new();
    for (id, instance) in chunk {
        match groups.last_mut().filter(|(last, _)| *last == id) {
            Some((_, instances)) => instances.push(instance),
            None => groups.push((id, vec![instance])),
        }
    }
    groups
}
