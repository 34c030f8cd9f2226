//! Commands on the report templates of the catalog.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, TemplateId, TenantId};
use roentgen_domain::report_template::{Command, ReportTemplate, Update};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that adds a template to the catalog. Its schema, if any, must be supported.
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
        let id = TemplateId::derive(work.context().tenant_id, &self.0.code);
        work.create::<ReportTemplate>(id, Command::Create(Box::new(self.0.clone())))
            .await
    }
}

/// Command that changes a template. Existing drafts are checked against the schema that is current when they become
/// final.
#[derive(Debug, Clone)]
pub struct UpdateTemplate {
    /// Id of the template.
    pub id: TemplateId,
    /// Changes to apply.
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
        let update = Command::Update(Box::new(self.update.clone()));
        let template = work.decide::<ReportTemplate>(self.id, update).await?;
        match &template.state.schema {
            Some(schema) if !self.update.schema.is_keep() => work.accepts_schema(schema).await?,
            Some(_) | None => {}
        }
        Ok(template)
    }
}
