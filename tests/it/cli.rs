//! The command line.

mod commands;
mod export;
mod invalid_config;
mod serve;
mod services;
mod verified;
mod without_tokens;
