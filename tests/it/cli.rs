//! The command line.

mod commands;
mod export;
mod refused;
mod serve;
mod services;
mod verified;
