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
