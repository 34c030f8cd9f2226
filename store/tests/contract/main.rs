//! The contract tests: what every engine guarantees through [`Store`](roentgen_store::open::Store) and its appender, on
//! real databases. Each test runs on SQLite and on PostgreSQL, in a separate database; tests of one engine only have
//! its name as the last part of theirs. The tests need a PostgreSQL server (`ROENTGEN_TEST_POSTGRES`): without one they
//! fail, they are never skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

/// Creates `name::sqlite` and `name::postgres` from each `async fn name(bed: &ContractDatabase)`.
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$test(&crate::harness::ContractDatabase::new(crate::harness::EngineKind::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$test(&crate::harness::ContractDatabase::new(crate::harness::EngineKind::Postgres).await).await;
            }
        }
    )+};
}

/// Creates `name::sqlite` from each `async fn name(bed: &ContractDatabase)`, for faults of files.
macro_rules! on_sqlite_only {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$test(&crate::harness::ContractDatabase::new(crate::harness::EngineKind::Sqlite).await).await;
            }
        }
    )+};
}

/// Creates `name::postgres` from each `async fn name(bed: &ContractDatabase)`, for faults of a server.
macro_rules! on_postgres_only {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$test(&crate::harness::ContractDatabase::new(crate::harness::EngineKind::Postgres).await).await;
            }
        }
    )+};
}

mod builders;
mod fault_injection;
mod harness;
mod proxy;
mod tally_projection;

mod atomicity;
mod heavy;
mod keys;
mod lost_responses;
mod model_based;
mod notifications;
mod ordering;
mod parked_streams;
mod paused_process;
mod projector;
mod races;
mod rebuild;
mod refused;
mod relay_checkpoint;
mod reservations;
mod restore;
mod secrets;
mod stream_tails;
mod subscriptions;
mod tampering;
