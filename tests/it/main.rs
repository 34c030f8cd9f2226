//! The HTTP and fault rings, one binary. Folders mirror URLs; every story runs on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod story;

mod cqrs_es;
mod demo;
mod orders;
