//! The abuse ring: one caller does its worst, and the others are served as before. Table-driven, on both engines.

mod claims;
mod connections;
mod fairness;
mod frames;
mod lost_keys;
mod other_type;
mod outdated;
mod postgres;
mod raw;
mod requests;
mod restored;
pub(crate) mod rows;
mod scope;
mod searches;
mod secrets;
mod stalled;
mod token_end;
