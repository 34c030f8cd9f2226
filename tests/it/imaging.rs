//! `/imaging`.

mod modalities;
mod orders;
mod procedures;
mod queries;
