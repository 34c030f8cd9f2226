//! Harness of the HTTP and fault tests: one database per test, servers as separate processes, and a client.

#![allow(
    clippy::missing_errors_doc,
    reason = "a test fails with whatever went wrong"
)]

pub mod certificate;
pub mod client;
pub mod database;
pub mod described;
pub mod frames;
pub mod nats;
pub mod next_release;
pub mod poll;
pub mod postgres;
mod python;
pub mod raw;
pub mod raw_database;
pub mod server;
pub mod sse;
pub mod tcp_proxy;

pub use certificate::Certificate;
pub use client::{TestClient, TestResponse};
pub use database::{EngineKind, TestDatabase};
pub use nats::{Cluster, Message, Nats};
pub use postgres::Postgres;
pub use python::python;
pub use raw::Raw;
pub use raw_database::{DbFile, RawDatabase};
pub use server::Server;
pub use sse::{SseFrame, SseReader};
pub use tcp_proxy::TcpProxy;
