//! Abuse tests: one caller uses the API in the most expensive way, and the others are served as before. Table-driven,
//! on both engines.

mod bodies;
mod claims;
mod connections;
mod fairness;
mod growth;
mod lost_keys;
mod other_type;
mod outdated;
mod postgres;
mod requests;
mod restored;
pub(crate) mod rows;
mod schemas;
mod scope;
mod searches;
mod secrets;
mod stalled;
mod token_end;
