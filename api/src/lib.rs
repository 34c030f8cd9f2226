//! Roentgen over HTTP: the only crate that knows it. Routes, identity, problem documents, the event feed, and the
//! program `roentgen`.

mod admin_projections;
mod admission;
mod ai_models;
mod ai_outputs;
mod ai_tasks;
mod answers;
pub mod app;
mod auth_config;
pub mod authorization;
pub mod cli;
mod command_request;
pub mod config;
mod demo;
mod dumps;
mod feed;
mod health;
pub mod identity;
mod instances;
mod logged;
mod middleware;
mod modalities;
mod nearest;
pub mod openapi;
mod orders;
mod pacs_endpoints;
mod pagination;
pub mod problem;
mod procedures;
mod query_params;
mod read_request;
mod reading_profiles;
mod render;
mod report_templates;
mod reports;
pub mod routes;
mod series;
mod serve;
mod studies;
mod telemetry;
mod timeline;
mod validation;
mod viewer;
mod worklist;

/// A quarter of a request's time went into glibc's allocator (`perf record`, POST order at 64 connections).
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counts what a test allocates: nextest runs each in a process of its own.
#[cfg(test)]
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
