//! The HTTP and fault tests, in one binary. Folders mirror URLs; every test runs on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story may panic: that is how it fails"
)]

mod assertions;
mod leak_scan;
mod test_app;

mod admin;
mod architecture;
mod archives;
mod cli;
mod compose;
mod cqrs_es;
mod demo;
mod docs;
mod events;
mod health;
mod identity;
mod imaging;
mod imaging_ai;
mod pacs;
mod patients;
mod radiology;
mod schemathesis;

mod policies;
mod workflow;

mod read_model_audit;
mod rebuilds;
mod relay;

mod cluster;

mod abuse;
mod faults;
mod properties;
