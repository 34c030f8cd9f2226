//! `/radiology`.

mod body_parts;
mod reading_profiles;
mod reading_room;
mod reports;
mod templates;
mod worklist;
