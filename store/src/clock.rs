//! The wall clock and new ids; no other module reads the clock or generates ids.

use std::time::{SystemTime, UNIX_EPOCH};

use roentgen_domain::Timestamp;
use uuid::Uuid;

/// Returns the current time.
pub fn now() -> Timestamp {
    Timestamp::from_millis(now_ms()).unwrap_or(Timestamp::EPOCH)
}

/// Returns the current time in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Generates a new UUIDv7.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn fresh_id() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use roentgen_domain::dicom::AccessionNumber;
    use uuid::Uuid;

    use super::fresh_id;

    #[test]
    fn accession_numbers_of_one_process_are_unique() {
        let without_randomness = |id: Uuid| Uuid::from_u128(id.as_u128() & !0xffff_ffff);
        let ids = (0..10_000).map(|_| without_randomness(fresh_id()));
        let numbers: HashSet<_> = ids
            .map(|id| AccessionNumber::generated(id).to_string())
            .collect();
        assert_eq!(numbers.len(), 10_000);
    }
}
