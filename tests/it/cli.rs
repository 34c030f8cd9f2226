//! The command line.

mod commands;
mod refused;
mod serve;
mod services;
