//! How far a stream may grow, and which of its sealed parts a row still needs.

use std::collections::BTreeSet;

/// Changes that a stream may have; beyond them only [`StreamBudget::Reserved`] and [`StreamBudget::Unbounded`] commands
/// are carried out.
pub const MAX_CHANGES: u64 = 10_000;
/// Bytes that a stream's sealed parts may have together, likewise.
pub const MAX_SEALED_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that a stream's payloads may have together, likewise: a study of some 80,000 images.
pub const MAX_PAYLOAD_BYTES: u64 = 16 * 1024 * 1024;
/// The reserve is the bound divided by this number.
const RESERVE: u64 = 10;

/// Bytes that a resource may show. Its row has all of them and is written anew with each of its events, so that a
/// change of a few bytes costs what the whole shows: this is several times the longest report with all that is added to
/// it.
pub const MAX_SHOWN_BYTES: u64 = 2 * 1024 * 1024;

/// What a stream's events have together, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Of payloads.
    pub payload: u64,
    /// Of sealed parts.
    pub sealed: u64,
}

impl Size {
    /// Of an event.
    pub const fn measure(payload: &str, sealed: &[u8]) -> Self {
        Self {
            payload: payload.len() as u64,
            sealed: sealed.len() as u64,
        }
    }

    /// Of payloads and sealed parts together.
    pub const fn all(self) -> u64 {
        self.payload.saturating_add(self.sealed)
    }

    /// With what another event has.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            payload: self.payload.saturating_add(other.payload),
            sealed: self.sealed.saturating_add(other.sealed),
        }
    }
}

/// How much room a command has in its stream. The order is that of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamBudget {
    /// Up to the bound: edits, which a caller can repeat for ever.
    Bounded,
    /// Up to a tenth beyond the bound: answers for a case, steps back that somebody else takes for its holder, and the
    /// system's own effects.
    Reserved,
    /// Any: a command that leads a case on, or that follows from what another stream bounds, and so cannot be repeated
    /// for ever; or a stream that no resource is read from.
    Unbounded,
}

impl StreamBudget {
    /// Whether a stream may have so many changes, of this size together, after a command with this room.
    pub const fn admits(self, changes: u64, size: Size) -> bool {
        self.reaches(changes, MAX_CHANGES)
            && self.reaches(size.sealed, MAX_SEALED_BYTES)
            && self.reaches(size.payload, MAX_PAYLOAD_BYTES)
    }

    /// Whether a resource may show so many bytes after a command with this room.
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

/// Which sealed parts of a stream still show in its resource. As a rule the latest value of each member does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisiblePhi {
    /// Versions that divide the stream: the latest value of a member up to and with one of them still shows, even if a
    /// later part replaces it.
    pub dividers: BTreeSet<u64>,
    /// Versions of parts that show by themselves: nothing replaces them, and they replace nothing.
    pub alone: BTreeSet<u64>,
}

impl VisiblePhi {
    /// The division that a version belongs to; parts replace others of their own division only.
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
