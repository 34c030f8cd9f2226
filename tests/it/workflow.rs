//! The whole workflow from order to report over HTTP, with all effects of policies.

pub(crate) mod fixtures;
pub(crate) mod full_workflow;
mod legacy_clients;
mod order_edge_cases;
mod reading_edge_cases;
