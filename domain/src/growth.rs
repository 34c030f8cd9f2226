//! How far a stream may grow, and which of its sealed parts a row still needs.

use std::collections::BTreeSet;

/// Changes that a stream may have; beyond them only [`Room::Reserved`] and [`Room::Unbounded`] commands are carried out.
pub const MAX_CHANGES: u64 = 10_000;
/// Bytes that a stream's sealed parts may have together, likewise.
pub const MAX_SEALED_BYTES: u64 = 16 * 1024 * 1024;
/// The reserve is the bound divided by this number.
const RESERVE: u64 = 10;

/// How much room a command has in its stream. The order is that of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Up to the bound: edits, which a caller can repeat for ever.
    Bounded,
    /// Up to a tenth beyond the bound: answers for a case, steps back that somebody else takes for its holder, and the
    /// system's own effects.
    Reserved,
    /// Any: a command that leads a case on, or that follows from what another stream bounds, and so cannot be repeated for
    /// ever; or a stream that no resource is read from.
    Unbounded,
}

impl Room {
    /// Whether a stream may have so many changes and so many sealed bytes after a command with this room.
    pub const fn admits(self, changes: u64, sealed_bytes: u64) -> bool {
        match self {
            Self::Bounded => changes <= MAX_CHANGES && sealed_bytes <= MAX_SEALED_BYTES,
            Self::Reserved => {
                changes <= with_reserve(MAX_CHANGES)
                    && sealed_bytes <= with_reserve(MAX_SEALED_BYTES)
            }
            Self::Unbounded => true,
        }
    }
}

const fn with_reserve(bound: u64) -> u64 {
    bound + bound / RESERVE
}

/// Which sealed parts of a stream still show in its resource. As a rule the latest value of each member does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownParts {
    /// Versions that divide the stream: the latest value of a member up to and with one of them still shows, even if a
    /// later part replaces it.
    pub dividers: BTreeSet<u64>,
    /// Versions of parts that show by themselves: nothing replaces them, and they replace nothing.
    pub alone: BTreeSet<u64>,
}

impl ShownParts {
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
        for (room, changes, sealed_bytes, admitted) in [
            (Room::Bounded, MAX_CHANGES, MAX_SEALED_BYTES, true),
            (Room::Bounded, MAX_CHANGES + 1, 0, false),
            (Room::Bounded, 1, MAX_SEALED_BYTES + 1, false),
            (Room::Reserved, 11_000, MAX_SEALED_BYTES + 1, true),
            (Room::Reserved, 11_001, 0, false),
            (Room::Reserved, 1, MAX_SEALED_BYTES / 10 * 11 + 7, false),
            (Room::Unbounded, u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(
                room.admits(changes, sealed_bytes),
                admitted,
                "{room:?} {changes} {sealed_bytes}"
            );
        }
    }

    #[test]
    fn a_divider_belongs_to_what_lies_before_it() {
        let shown = ShownParts {
            dividers: [3, 7].into(),
            ..ShownParts::default()
        };
        let divisions = [1, 3, 4, 7, 8].map(|version| shown.division(version));
        assert_eq!(divisions, [0, 0, 1, 1, 2]);
    }
}
