//! `/imaging/orders`.

mod concurrent;
mod create;
mod list;
mod status_transitions;
mod two_servers;
mod pagination;
mod read;
mod references;
mod validation;
mod idempotency;
