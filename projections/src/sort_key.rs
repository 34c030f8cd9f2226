//! Order-preserving sort keys: what SQL compares byte by byte is the order that people see.

use roentgen_domain::Timestamp;
use uuid::Uuid;

/// The length in bytes of a key of a time and an id.
pub const LENGTH: usize = 24;

/// Newest first; at one time, by id.
pub fn newest_first(time: Timestamp, id: Uuid) -> Vec<u8> {
    [inverted(time.as_millis()).as_slice(), id.as_bytes()].concat()
}

/// By a number that may be absent, which is last; at one number, by id.
pub fn by_number(number: Option<i32>, id: Uuid) -> Vec<u8> {
    let absent = number.is_none();
    let number = number.unwrap_or_default();
    let ascending = number.cast_unsigned() ^ (1 << 31);
    let number = ascending.to_be_bytes();
    [&[u8::from(absent)], number.as_slice(), id.as_bytes()].concat()
}

/// Oldest first; at one time, by id.
pub fn oldest_first(time: Timestamp, id: Uuid) -> Vec<u8> {
    [ascending(time.as_millis()).as_slice(), id.as_bytes()].concat()
}

/// The rows of the time and before are at or after this.
pub fn not_later_than(time: Timestamp) -> Vec<u8> {
    inverted(time.as_millis()).to_vec()
}

/// The rows of the time and later are before this.
pub fn not_earlier_than(time: Timestamp) -> Vec<u8> {
    inverted(time.as_millis().saturating_sub(1)).to_vec()
}

/// Descending in the time, whatever its sign.
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
