//! `/pacs`.

mod endpoints;
mod order_linking;
mod list_studies;
mod large_study;
mod odd;
mod series_and_instances;
pub(crate) mod fixtures;
mod secrets;
mod study_sync;
mod viewer;
