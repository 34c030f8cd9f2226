//! Commands on the catalog's report templates.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{StreamId, TemplateId, TenantId};
use roentgen_domain::report_template::{Command, ReportTemplate, Update};

use crate::error::CommandError;
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Adds a template to the catalog. Its schema, where it has one, must be one that can be evaluated.
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

/// Changes a template. Reports that are begun already are judged by its schema as it is when they become final.
#[derive(Debug, Clone)]
pub struct UpdateTemplate {
    /// Which.
    pub id: TemplateId,
    /// What.
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
