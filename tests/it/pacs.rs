//! `/pacs`.

mod endpoints;
pub(crate) mod fixtures;
mod large_study;
mod list_studies;
mod odd;
mod order_linking;
mod secrets;
mod series_and_instances;
mod study_sync;
mod viewer;
