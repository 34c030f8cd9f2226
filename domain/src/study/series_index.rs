//! A study's series and instances, as far as decisions need them.

use std::collections::BTreeMap;

use super::SeriesAttributes;
use super::events::{AddedInstance, AddedSeries, SeriesChange, SeriesInstances, Updated};
use crate::body_part::BodyPart;
use crate::ids::{InstanceId, SeriesId};
use crate::text::Text;

/// Which series a study has, and which instances each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesIndex {
    series: BTreeMap<SeriesId, IndexedSeries>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedSeries {
    /// What is said of it; the number of instances is the larger of stated and listed.
    pub facts: SeriesAttributes,
    /// In order of their ids.
    instances: Vec<InstanceId>,
}

impl SeriesIndex {
    /// A series, where it is known.
    pub fn series(&self, id: SeriesId) -> Option<&IndexedSeries> {
        self.series.get(&id)
    }

    /// How many series are listed.
    pub fn number_of_series(&self) -> u32 {
        count(self.series.len())
    }

    /// How many instances there are: of each series the larger of stated and listed.
    pub fn number_of_instances(&self) -> u32 {
        let numbers = self.series.values();
        numbers
            .filter_map(|series| series.facts.number_of_instances)
            .fold(0, u32::saturating_add)
    }

    /// What it takes in memory, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let series = self.series.values().map(IndexedSeries::weight);
        size_of::<Self>() + series.sum::<usize>()
    }

    pub(super) fn add_series(&mut self, added: &[AddedSeries]) {
        for series in added {
            let known = IndexedSeries {
                facts: series.facts.clone(),
                instances: Vec::new(),
            };
            self.series.entry(series.series_id).or_insert(known);
        }
    }

    pub(super) fn add_instances(&mut self, added: &[SeriesInstances]) {
        for instances in added {
            if let Some(series) = self.series.get_mut(&instances.series_id) {
                series.list(instances.instances.iter().map(|added| added.instance_id));
                series.facts.number_of_instances = Some(instances.number_of_instances);
            }
        }
    }

    pub(super) fn change_series(&mut self, changes: &[SeriesChange]) {
        for change in changes {
            if let Some(series) = self.series.get_mut(&change.series_id) {
                change.apply(&mut series.facts);
            }
        }
    }
}

impl IndexedSeries {
    /// Whether the instance is listed.
    pub fn has(&self, id: InstanceId) -> bool {
        self.instances.binary_search(&id).is_ok()
    }

    /// Lists more instances, in time that follows from their number and not from how many there are, but for moving
    /// those.
    fn list(&mut self, more: impl Iterator<Item = InstanceId>) {
        let known = self.instances.len();
        self.instances.extend(more);
        let (known, new) = self.instances.split_at_mut(known);
        new.sort_unstable();
        if new.first().is_some_and(|first| known.last() > Some(first)) {
            // Two runs, which a stable sort merges.
            self.instances.sort();
        }
    }

    /// With its place in the tree, whose nodes are full to two thirds as a rule.
    fn weight(&self) -> usize {
        let place = size_of::<(SeriesId, Self)>() * 3 / 2;
        let uid = self.facts.series_instance_uid.as_str().len();
        let words = estimated_series_bytes(&self.facts);
        place + uid + words + self.instances.capacity() * size_of::<InstanceId>()
    }

    /// The number of instances with so many more listed.
    pub(super) fn number_with(&self, more: usize) -> u32 {
        max_of_stated_and_listed(self.facts.number_of_instances, self.instances.len() + more)
    }

    /// The number of instances where so many are stated.
    pub(super) fn number_where_stated(&self, stated: u32) -> u32 {
        max_of_stated_and_listed(Some(stated), self.instances.len())
    }
}

/// The larger of what is stated and what is listed.
pub(super) fn max_of_stated_and_listed(stated: Option<u32>, listed: usize) -> u32 {
    stated.unwrap_or(0).max(count(listed))
}

fn count(listed: usize) -> u32 {
    u32::try_from(listed).unwrap_or(u32::MAX)
}

/// The bytes that a series takes in an event, roughly and rather more.
pub(super) fn estimated_series_bytes(facts: &SeriesAttributes) -> usize {
    estimated_attribute_bytes(facts.body_part.as_ref(), facts.description.as_ref())
}

/// The same of a series that changed.
pub(super) fn estimated_change_bytes(change: &SeriesChange) -> usize {
    estimated_attribute_bytes(change.body_part.as_ref(), change.description.as_ref())
}

/// The same of all that changed of a study, but for its patient's data.
pub(super) fn estimated_update_bytes(updated: &Updated) -> usize {
    let of_series = updated.series.iter().map(estimated_change_bytes);
    estimated_attribute_bytes(updated.body_part.as_ref(), updated.description.as_ref())
        + of_series.sum::<usize>()
}

fn estimated_attribute_bytes(body_part: Option<&BodyPart>, description: Option<&Text>) -> usize {
    let words = [
        body_part.map(BodyPart::as_str),
        description.map(Text::as_str),
    ];
    let bytes = words.into_iter().flatten().flat_map(str::bytes);
    256 + bytes.map(escaped_len).sum::<usize>()
}

/// The bytes that a byte of a text takes in JSON (RFC 8259, section 7).
const fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// The bytes that an instance takes in an event, roughly and rather more.
pub(super) fn estimated_instance_bytes(added: &AddedInstance) -> usize {
    let class = added
        .sop_class_uid
        .as_ref()
        .map_or(0, |uid| uid.as_str().len());
    190 + added.sop_instance_uid.as_str().len() + class
}
