//! `/pacs`.

mod endpoints;
mod linked;
mod listed;
mod many;
mod parts;
mod scene;
mod secrets;
mod synced;
mod viewer;
