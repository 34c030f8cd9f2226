//! `/radiology/worklist/items`.

mod claim;
mod concurrent_claims;
mod create;
mod list;
mod system_commands;
mod update;
