//! The contract: what every engine promises, through [`Store`](roentgen_store::open::Store) and its appender, on real
//! databases. Each test runs on SQLite and on PostgreSQL, in a database of its own; those that only one engine can be
//! asked say so in their name's last part. A PostgreSQL server is needed (`ROENTGEN_TEST_POSTGRES`): without one the
//! suite fails, it never skips.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

/// Makes `name::sqlite` and `name::postgres` of each `async fn name(bed: &ContractDatabase)`.
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

/// Makes `name::sqlite` of each `async fn name(bed: &ContractDatabase)`: faults that only files can have.
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

/// Makes `name::postgres` of each `async fn name(bed: &ContractDatabase)`: faults that only a server can have.
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

mod harness;
mod builders;
mod fault_injection;
mod proxy;
mod tally_projection;

mod reservations;
mod lost_responses;
mod heavy;
mod keys;
mod ordering;
mod parked_streams;
mod projector;
mod model_based;
mod races;
mod rebuild;
mod refused;
mod relay_checkpoint;
mod restore;
mod secrets;
mod paused_process;
mod subscriptions;
mod stream_tails;
mod tampering;
mod notifications;
mod atomicity;
