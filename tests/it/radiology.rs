//! `/radiology`.

mod body_parts;
mod reading_profiles;
mod fixtures;
mod reports;
mod templates;
mod worklist;
