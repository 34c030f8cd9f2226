//! The wall clock and fresh ids: the one place where either is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use roentgen_domain::Timestamp;
use uuid::Uuid;

/// Now.
pub fn now() -> Timestamp {
    Timestamp::from_millis(now_ms()).unwrap_or(Timestamp::EPOCH)
}

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A fresh UUIDv7.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn fresh_id() -> Uuid {
    Uuid::now_v7()
}
