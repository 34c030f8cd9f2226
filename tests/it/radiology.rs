//! `/radiology`.

mod reading_profiles;
mod reading_room;
mod templates;
mod worklist;
