//! `/radiology`.

mod reading_profiles;
mod reading_room;
mod reports;
mod templates;
mod worklist;
