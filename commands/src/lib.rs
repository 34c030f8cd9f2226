//! The write side: a command is loaded for, decided and appended, and repeated where it lost a race.
//!
//! [`Executor`] does that for every [`UseCase`]; the use cases themselves are one module a resource.
//! What follows from events without anybody asking is in [`policies`].

#![warn(missing_docs)]

pub mod ai_model;
pub mod ai_task;
pub mod error;
pub mod executor;
mod json_schema;
pub mod modality;
pub mod order;
pub mod pacs_endpoint;
pub mod policies;
pub mod procedure;
pub mod reading_profile;
pub mod report;
pub mod report_template;
mod state_cache;
mod stream_locks;
pub mod study;
pub mod unit_of_work;
pub mod worklist;

pub use error::{CommandError, DomainError, Reference, Violation};
pub use executor::{CommandEnvelope, CommandOutcome, Executor, Idempotency, UseCase};
pub use unit_of_work::UnitOfWork;

/// Counts what tests allocate. Of several tests in one process each counts what all do; `cargo nextest` gives each its
/// own.
#[cfg(test)]
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
