//! `/radiology`.

mod body_parts;
mod fixtures;
mod reading_profiles;
mod reports;
mod templates;
mod worklist;
