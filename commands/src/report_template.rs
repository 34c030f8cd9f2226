//! Commands on report templates, whose schema must be supported.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, TemplateId, TenantId};
use roentgen_domain::report_template::{ReportTemplate, Update};

use crate::catalog::{CreateEntry, UpdateEntry};
use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds a template to the catalog.
#[derive(Debug, Clone)]
pub struct CreateTemplate(pub ReportTemplate);

impl UseCase for CreateTemplate {
    type Aggregate = ReportTemplate;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(TemplateId::derive(tenant, &self.0.code).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<ReportTemplate>, CommandError> {
        if let Some(schema) = &self.0.schema {
            work.accepts_schema(schema).await?;
        }
        CreateEntry(self.0.clone()).decide(work).await
    }
}

/// Command that changes a template. Existing drafts are checked against the schema that is current when they become
/// final.
#[derive(Debug, Clone)]
pub struct UpdateTemplate {
    /// Id of the template.
    pub id: TemplateId,
    /// Requested changes.
    pub update: Update,
}

impl UseCase for UpdateTemplate {
    type Aggregate = ReportTemplate;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<ReportTemplate>, CommandError> {
        let update = self.update.clone();
        let change = UpdateEntry::<ReportTemplate> {
            id: self.id,
            update,
        };
        let template = change.decide(work).await?;
        match &template.state.schema {
            Some(schema) if !self.update.schema.is_keep() => work.accepts_schema(schema).await?,
            Some(_) | None => {}
        }
        Ok(template)
    }
}
