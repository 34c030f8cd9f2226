//! The harness of the HTTP and fault rings: a database a test, servers as processes of their own, and a client.

pub mod raw_database;
pub mod certificate;
pub mod client;
pub mod database;
pub mod frames;
pub mod sse;
pub mod nats;
pub mod next_release;
pub mod poll;
pub mod postgres;
mod python;
pub mod raw;
pub mod server;
pub mod tcp_proxy;

pub use raw_database::{RawDatabase, DbFile};
pub use certificate::Certificate;
pub use client::{TestResponse, TestClient};
pub use database::{TestDatabase, EngineKind};
pub use sse::{SseFrame, SseReader};
pub use nats::{Cluster, Message, Nats};
pub use postgres::Postgres;
pub use python::python;
pub use raw::Raw;
pub use server::Server;
pub use tcp_proxy::TcpProxy;
