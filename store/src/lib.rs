//! The log and everything at rest: the only crate that knows SQL.
//!
//! Two engines, SQLite and PostgreSQL, stand behind one trait ([`engine::Engine`]) and one contract suite. Above them:
//! the group-committing [`appender`], the hash [`chain`], sealed PHI and patient [`keys`], the catalog's
//! [`secrets`], the [`codec`] between domain events and stored ones, read-model tables ([`read_model`]) and their
//! [`generation`]s, the [`projector`], durable [`subscription`]s with what they remember ([`policy_memory`]), how far
//! relays are ([`relay_checkpoint`]), leader [`lease`]s, what was moved out of the log into files ([`archive`]), caches
//! by weight ([`weighed`]), and the adapter that lets `cqrs-es` programs run on our aggregates and log
//! ([`cqrs_es_adapter`]).

#![warn(missing_docs)]

pub mod appender;
pub mod archive;
pub mod chain;
pub mod chain_verification;
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
pub mod projector;
pub mod read_model;
pub mod reads;
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
