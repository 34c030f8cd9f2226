//! The domain model of diagnostic imaging, without I/O.
//!
//! Each aggregate is one module with its state, commands, events, errors and two functions: `decide` (state and command
//! to events) and `evolve` (state and event to state); an entry of the catalog states its members and rules only, and
//! [`catalog`] does the rest. The crate uses no database, network, clock or random numbers:
//! [`Context`] provides all external input of a decision.

#![warn(missing_docs)]

pub mod aggregate;
pub mod ai_model;
pub mod ai_task;
pub mod auth_kind;
pub mod body_part;
pub mod canonical_json;
pub mod caseless;
pub mod caseload;
pub mod catalog;
pub mod change;
pub mod codec_error;
pub mod codes;
pub mod dicom;
pub mod envelope;
pub mod growth;
pub mod id_kind;
pub mod ids;
pub mod json;
pub mod modality;
pub mod order;
pub mod pacs_endpoint;
pub mod phi;
pub mod procedure;
pub mod reading_profile;
pub mod report;
pub mod report_template;
pub mod score;
pub mod study;
pub mod study_access;
pub mod text;
pub mod time;
pub mod url;
pub mod wire_enum;
pub mod worklist_item;

#[cfg(test)]
mod given_when_then;

pub use aggregate::{Aggregate, Context, DomainEvent, UnexpectedEvent, Versioned};
pub use change::Change;
pub use codec_error::{DecodeError, EncodeError};
pub use envelope::{Actor, EventMetadata};
pub use growth::{StreamBudget, VisiblePhi};
pub use time::Timestamp;
