//! The HTTP and fault rings, one binary. Folders mirror URLs; every story runs on both engines.

mod story;

mod demo;
mod orders;

mod read_models;

mod faults;
mod properties;
