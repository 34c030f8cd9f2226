//! The event log, read models, keys and all other stored data; the only crate that contains SQL.
//!
//! Two engines, SQLite and PostgreSQL, implement one trait ([`engine::Engine`]) and pass one contract test suite. On
//! top of them: the group-committing [`appender`], the hash [`chain`], sealed PHI and patient [`keys`], the catalog's
//! [`secrets`], the [`codec`] between domain events and stored ones, read-model tables ([`read_model`]) and their
//! [`generation`]s, the [`projector`], durable [`subscription`]s with policy memory ([`policy_memory`]), checkpoints of
//! relays ([`relay_checkpoint`]), leader [`lease`]s, archived partitions of the log ([`archive`]), caches bounded in
//! bytes ([`weighed`]), and the adapter that runs `cqrs-es` programs on the aggregates and the log
//! ([`cqrs_es_adapter`]).

#![warn(missing_docs)]

pub mod appender;
pub mod archive;
pub mod chain;
pub mod chain_verification;
pub mod checkpoint;
pub mod clock;
pub mod codec;
pub mod cqrs_es_adapter;
pub mod database;
pub mod engine;
pub mod error;
pub mod fair;
pub mod generation;
pub mod keys;
pub mod lease;
pub mod lifecycle;
pub mod loader;
pub mod log;
pub mod notify;
pub mod pace;
pub mod policy_memory;
pub mod postgres;
pub mod projection;
pub mod projector;
pub mod read_model;
pub mod readers;
pub mod reads;
pub mod rebuild;
pub mod recent_events;
pub mod relay_checkpoint;
pub mod rights;
pub mod secrets;
mod sql;
pub mod sqlite;
pub mod subscription;
pub mod weighed;

pub use engine::Engine;
pub use error::StoreError;
