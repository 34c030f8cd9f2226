//! Index of a study's series and instances, as far as decisions need them.

use std::collections::BTreeMap;

use super::SeriesAttributes;
use super::events::{AddedInstance, AddedSeries, SeriesChange, SeriesInstances, Updated};
use crate::body_part::BodyPart;
use crate::ids::{InstanceId, SeriesId};
use crate::text::Text;

/// Series of a study, and the instances of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesIndex {
    series: BTreeMap<SeriesId, IndexedSeries>,
}

/// Series with the ids of its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedSeries {
    /// Attributes; the number of instances is the larger of the stated and the listed number.
    pub facts: SeriesAttributes,
    /// Instance ids in ascending order.
    instances: Vec<InstanceId>,
}

impl SeriesIndex {
    /// Returns a series, if it exists.
    pub fn series(&self, id: SeriesId) -> Option<&IndexedSeries> {
        self.series.get(&id)
    }

    /// Returns the number of listed series.
    pub fn number_of_series(&self) -> u32 {
        count(self.series.len())
    }

    /// Returns the number of instances: the sum over all series of the larger of the stated and the listed number.
    pub fn number_of_instances(&self) -> u32 {
        let numbers = self.series.values();
        numbers
            .filter_map(|series| series.facts.number_of_instances)
            .fold(0, u32::saturating_add)
    }

    /// Returns the approximate memory size in bytes.
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
    /// Returns whether the instance is listed.
    pub fn has(&self, id: InstanceId) -> bool {
        self.instances.binary_search(&id).is_ok()
    }

    /// Adds instances. The cost depends on the number of new instances, except for moving the existing ones.
    fn list(&mut self, more: impl Iterator<Item = InstanceId>) {
        let known = self.instances.len();
        self.instances.extend(more);
        let (known, new) = self.instances.split_at_mut(known);
        new.sort_unstable();
        if new.first().is_some_and(|first| known.last() > Some(first)) {
            // A stable sort merges the two sorted runs.
            self.instances.sort();
        }
    }

    /// Returns the memory size in bytes, including the B-tree entry; B-tree nodes are usually two thirds full.
    fn weight(&self) -> usize {
        let place = size_of::<(SeriesId, Self)>() * 3 / 2;
        let uid = self.facts.series_instance_uid.as_str().len();
        let words = estimated_series_bytes(&self.facts);
        place + uid + words + self.instances.capacity() * size_of::<InstanceId>()
    }

    /// Returns the number of instances after `more` have been listed.
    pub(super) fn number_with(&self, more: usize) -> u32 {
        max_of_stated_and_listed(self.facts.number_of_instances, self.instances.len() + more)
    }

    /// Returns the number of instances if `stated` is stated.
    pub(super) fn number_where_stated(&self, stated: u32) -> u32 {
        max_of_stated_and_listed(Some(stated), self.instances.len())
    }
}

/// Returns the larger of the stated and the listed number.
pub(super) fn max_of_stated_and_listed(stated: Option<u32>, listed: usize) -> u32 {
    stated.unwrap_or(0).max(count(listed))
}

fn count(listed: usize) -> u32 {
    u32::try_from(listed).unwrap_or(u32::MAX)
}

/// Estimates the size of a series in an event, in bytes; rather too large than too small.
pub(super) fn estimated_series_bytes(facts: &SeriesAttributes) -> usize {
    estimated_attribute_bytes(facts.body_part.as_ref(), facts.description.as_ref())
}

/// Estimates the size of a changed series in an event, in bytes.
pub(super) fn estimated_change_bytes(change: &SeriesChange) -> usize {
    estimated_attribute_bytes(change.body_part.as_ref(), change.description.as_ref())
}

/// Estimates the size of all changes of a study in an event, in bytes, without patient demographics.
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

/// Returns the number of bytes that a byte of text takes in JSON (RFC 8259, section 7).
const fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// Estimates the size of an instance in an event, in bytes; rather too large than too small.
pub(super) fn estimated_instance_bytes(added: &AddedInstance) -> usize {
    let class = added
        .sop_class_uid
        .as_ref()
        .map_or(0, |uid| uid.as_str().len());
    190 + added.sop_instance_uid.as_str().len() + class
}
