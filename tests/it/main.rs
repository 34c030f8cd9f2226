//! The HTTP and fault rings, one binary. Folders mirror URLs; every story runs on both engines.

#![expect(
    clippy::indexing_slicing,
    reason = "a story may panic: that is how it fails"
)]

mod expect;
mod story;

mod architecture;
mod cli;
mod demo;
mod docs;
mod events;
mod health;
mod identity;
mod imaging;
