//! `/pacs`.

mod endpoints;
mod linked;
mod listed;
mod many;
mod odd;
mod parts;
pub(crate) mod scene;
mod secrets;
mod synced;
mod viewer;
