//! `/imaging/orders`.

mod concurrent;
mod create;
mod idempotency;
mod list;
mod pagination;
mod read;
mod references;
mod status_transitions;
mod two_servers;
mod validation;
