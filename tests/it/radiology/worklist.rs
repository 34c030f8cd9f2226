//! `/radiology/worklist/items`.

mod claim;
mod concurrent_claims;
mod create;
mod system_commands;
mod list;
mod update;
