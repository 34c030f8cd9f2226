//! HTTP API of Roentgen, the only crate that knows HTTP: routes, authentication, problem documents, the event feed, and
//! the program `roentgen`.

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

/// mimalloc: glibc's allocator took a quarter of a request's time (`perf record`, POST order at 64 connections).
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the allocations of a test: nextest runs each test in its own process.
#[cfg(test)]
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
