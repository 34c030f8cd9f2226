//! Order-preserving sort keys: the byte order in SQL is the order of the list.

use roentgen_domain::Timestamp;
use uuid::Uuid;

/// Length of a key of time and id, in bytes.
pub const LENGTH: usize = 24;

/// Returns the key for newest first, then by id.
pub fn newest_first(time: Timestamp, id: Uuid) -> Vec<u8> {
    [inverted(time.as_millis()).as_slice(), id.as_bytes()].concat()
}

/// Returns the key for ascending numbers, absent ones last, then by id.
pub fn by_number(number: Option<i32>, id: Uuid) -> Vec<u8> {
    let absent = number.is_none();
    let number = number.unwrap_or_default();
    let ascending = number.cast_unsigned() ^ (1 << 31);
    let number = ascending.to_be_bytes();
    [&[u8::from(absent)], number.as_slice(), id.as_bytes()].concat()
}

/// Returns the key for oldest first, then by id.
pub fn oldest_first(time: Timestamp, id: Uuid) -> Vec<u8> {
    [ascending(time.as_millis()).as_slice(), id.as_bytes()].concat()
}

/// Returns the inclusive lower bound of the [`newest_first`] keys of rows at `time` or earlier.
pub fn not_later_than(time: Timestamp) -> Vec<u8> {
    inverted(time.as_millis()).to_vec()
}

/// Returns the exclusive upper bound of the [`newest_first`] keys of rows at `time` or later.
pub fn not_earlier_than(time: Timestamp) -> Vec<u8> {
    inverted(time.as_millis().saturating_sub(1)).to_vec()
}

/// Encodes a time in descending order, including negative times.
fn inverted(millis: i64) -> [u8; 8] {
    ascending(millis).map(|ascending| !ascending)
}

fn ascending(millis: i64) -> [u8; 8] {
    (millis.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn newest_comes_first_also_before_1970() {
        let times = [
            1_700_000_000_001,
            1_700_000_000_000,
            1,
            0,
            -1,
            -62_000_000_000_000,
        ];
        let keys = times.map(|time| newest_first(at(time), Uuid::nil()));
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.iter().all(|key| key.len() == LENGTH));
    }

    #[test]
    fn numbers_ascend_and_what_has_none_comes_last() {
        let numbers = [
            Some(i32::MIN),
            Some(-1),
            Some(0),
            Some(1),
            Some(i32::MAX),
            None,
        ];
        let keys = numbers.map(|number| by_number(number, Uuid::nil()));
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn bounds_are_inclusive() {
        let key = newest_first(at(1000), Uuid::nil());
        assert!(key >= not_later_than(at(1000)) && key < not_earlier_than(at(1000)));
        assert!(key < not_later_than(at(999)));
        assert!(key >= not_earlier_than(at(1001)));
    }
}
