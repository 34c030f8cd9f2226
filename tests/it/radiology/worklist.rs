//! `/radiology/worklist/items`.

mod claimed;
mod concurrent;
mod created;
mod followed;
mod listed;
mod updated;
