//! The write side: loads aggregates, decides commands and appends events, and retries after version conflicts.
//!
//! [`Executor`] executes every [`UseCase`]; each resource has one module of use cases. Commands that the system issues
//! because of events are in [`policies`].

#![warn(missing_docs)]

pub mod ai_task;
pub mod catalog;
mod envelope;
pub mod error;
pub mod executor;
mod idempotency;
mod json_schema;
pub mod order;
pub mod policies;
pub mod procedure;
pub mod report;
pub mod report_template;
mod state_cache;
mod stream_locks;
pub mod study;
pub mod unit_of_work;
pub mod worklist;

pub use envelope::CommandEnvelope;
pub use error::{CommandError, DomainError, Reference, Violation};
pub use executor::{CommandOutcome, Executor, UseCase};
pub use idempotency::Idempotency;
pub use unit_of_work::UnitOfWork;

/// Counts allocations in tests. Tests in one process share the count; `cargo nextest` runs each test in a process.
#[cfg(test)]
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
