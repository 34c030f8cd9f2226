//! The read side: projections of streams to rows, and the queries for pages of them.
//!
//! Each read model has one module, which declares its table, maps a resource to a row, and maps the documented filters
//! to an indexed query.

#![warn(missing_docs)]

pub mod ai_models;
pub mod ai_outputs;
pub mod ai_tasks;
pub mod child_projection;
pub mod critical_results;
pub mod instances;
pub mod modalities;
pub mod orders;
pub mod pacs_endpoints;
pub mod procedures;
pub mod reading_profiles;
pub mod report_templates;
pub mod reports;
pub mod resource_projection;
pub mod series;
pub mod sort_key;
pub mod studies;
pub mod timeline;
mod walks;
pub mod worklist_items;

use std::sync::Arc;

use roentgen_store::projection::Projection;

use child_projection::ChildProjection;
use resource_projection::ResourceProjection;

/// Returns all live read models.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(ResourceProjection::<modalities::Modalities>::default()),
        Arc::new(ResourceProjection::<procedures::Procedures>::default()),
        Arc::new(ResourceProjection::<orders::Orders>::default()),
        Arc::new(ResourceProjection::<ai_models::AiModels>::default()),
        Arc::new(ResourceProjection::<ai_tasks::AiTasks>::default()),
        Arc::new(ai_outputs::AiOutputs),
        Arc::new(ResourceProjection::<pacs_endpoints::PacsEndpoints>::default()),
        Arc::new(ResourceProjection::<studies::Studies>::default()),
        Arc::new(ChildProjection::<series::StudySeries>::default()),
        Arc::new(ChildProjection::<instances::Instances>::default()),
        Arc::new(ResourceProjection::<reading_profiles::ReadingProfiles>::default()),
        Arc::new(ResourceProjection::<worklist_items::WorklistItems>::default()),
        Arc::new(ResourceProjection::<report_templates::ReportTemplates>::default()),
        Arc::new(ResourceProjection::<reports::Reports>::default()),
        Arc::new(ResourceProjection::<critical_results::CriticalResults>::default()),
    ]
}
