//! Bounds of stream sizes, and the sealed parts of a stream that a row still needs.

use std::collections::BTreeSet;

/// Maximum number of changes of a stream; beyond it only [`StreamBudget::Reserved`] and [`StreamBudget::Unbounded`]
/// commands are accepted.
pub const MAX_CHANGES: u64 = 10_000;
/// Maximum total size of a stream's sealed parts in bytes; the same exceptions apply.
pub const MAX_SEALED_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum total size of a stream's payloads in bytes (a study of about 80,000 images); the same exceptions apply.
pub const MAX_PAYLOAD_BYTES: u64 = 16 * 1024 * 1024;
/// Divisor of a bound that gives its reserve.
const RESERVE: u64 = 10;

/// Maximum size of a resource in bytes. The row contains the complete resource and is rewritten on every event, so a
/// change of a few bytes costs as much as the complete resource. The bound is several times the longest report with all
/// its additions.
pub const MAX_SHOWN_BYTES: u64 = 2 * 1024 * 1024;

/// Total size of one or more events, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Size of the payloads.
    pub payload: u64,
    /// Size of the sealed parts.
    pub sealed: u64,
}

impl Size {
    /// Measures an event.
    pub const fn measure(payload: &str, sealed: &[u8]) -> Self {
        Self {
            payload: payload.len() as u64,
            sealed: sealed.len() as u64,
        }
    }

    /// Returns the size of payloads and sealed parts together.
    pub const fn all(self) -> u64 {
        self.payload.saturating_add(self.sealed)
    }

    /// Adds the size of another event.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            payload: self.payload.saturating_add(other.payload),
            sealed: self.sealed.saturating_add(other.sealed),
        }
    }
}

/// Budget of a command in its stream, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamBudget {
    /// Up to the bound: edits, which a caller can repeat without limit.
    Bounded,
    /// Up to a tenth beyond the bound: commands that answer for a case, backward steps on behalf of a case's holder,
    /// and effects of policies.
    Reserved,
    /// No bound: commands that advance a case, or that follow from a stream with a bound and therefore cannot be
    /// repeated without limit; or streams that no resource is read from.
    Unbounded,
}

impl StreamBudget {
    /// Returns whether a stream may have this number of changes and this total size after a command with this budget.
    pub const fn admits(self, changes: u64, size: Size) -> bool {
        self.reaches(changes, MAX_CHANGES)
            && self.reaches(size.sealed, MAX_SEALED_BYTES)
            && self.reaches(size.payload, MAX_PAYLOAD_BYTES)
    }

    /// Returns whether a resource may have this size in bytes after a command with this budget.
    pub const fn admits_shown(self, bytes: u64) -> bool {
        self.reaches(bytes, MAX_SHOWN_BYTES)
    }

    const fn reaches(self, number: u64, bound: u64) -> bool {
        match self {
            Self::Bounded => number <= bound,
            Self::Reserved => number <= bound + bound / RESERVE,
            Self::Unbounded => true,
        }
    }
}

/// The sealed parts of a stream that are still visible in its resource. By default, the latest value of each member is
/// visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisiblePhi {
    /// Versions that divide the stream: the latest value of a member up to and including a divider stays visible, even
    /// if a later part replaces it.
    pub dividers: BTreeSet<u64>,
    /// Versions of separately visible parts: they are not replaced and replace nothing.
    pub alone: BTreeSet<u64>,
}

impl VisiblePhi {
    /// Returns the division of a version; a part replaces only parts of the same division.
    pub fn division(&self, version: u64) -> usize {
        self.dividers.range(..version).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_ends_where_it_should() {
        let max_payload = MAX_PAYLOAD_BYTES;
        let max_sealed = MAX_SEALED_BYTES;
        for (room, changes, payload, sealed, admitted) in [
            (
                StreamBudget::Bounded,
                MAX_CHANGES,
                max_payload,
                max_sealed,
                true,
            ),
            (StreamBudget::Bounded, MAX_CHANGES + 1, 0, 0, false),
            (StreamBudget::Bounded, 1, 0, max_sealed + 1, false),
            (StreamBudget::Bounded, 1, max_payload + 1, 0, false),
            (
                StreamBudget::Reserved,
                11_000,
                max_payload + 1,
                max_sealed + 1,
                true,
            ),
            (StreamBudget::Reserved, 11_001, 0, 0, false),
            (
                StreamBudget::Reserved,
                1,
                0,
                max_sealed / 10 * 11 + 7,
                false,
            ),
            (
                StreamBudget::Reserved,
                1,
                max_payload / 10 * 11 + 7,
                0,
                false,
            ),
            (StreamBudget::Unbounded, u64::MAX, u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(
                room.admits(changes, Size { payload, sealed }),
                admitted,
                "{room:?} {changes} {payload} {sealed}"
            );
        }
    }

    #[test]
    fn what_a_resource_shows_has_a_bound_with_the_same_reserve() {
        let shown = [MAX_SHOWN_BYTES, MAX_SHOWN_BYTES + 1, u64::MAX];
        for (room, admitted) in [
            (StreamBudget::Bounded, [true, false, false]),
            (StreamBudget::Reserved, [true, true, false]),
            (StreamBudget::Unbounded, [true, true, true]),
        ] {
            assert_eq!(shown.map(|bytes| room.admits_shown(bytes)), admitted);
        }
    }

    #[test]
    fn a_divider_belongs_to_what_lies_before_it() {
        let shown = VisiblePhi {
            dividers: [3, 7].into(),
            ..VisiblePhi::default()
        };
        let divisions = [1, 3, 4, 7, 8].map(|version| shown.division(version));
        assert_eq!(divisions, [0, 0, 1, 1, 2]);
    }
}
