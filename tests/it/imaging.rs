//! `/imaging`.

mod merge_patch;
mod modalities;
mod orders;
mod procedures;
mod query_params;
