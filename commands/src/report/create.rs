//! Beginning a report.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{
    OrderId, PatientId, PractitionerId, ReportId, StreamId, StudyId, TemplateId, TenantId,
};
use roentgen_domain::order::Order;
use roentgen_domain::report::{AuthoredContent, Command, Content, NewReport, Report};
use roentgen_domain::report_template::ReportTemplate;
use roentgen_domain::study::Study;

use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;
use crate::worklist::ensure_case_claimed;

/// Begins a draft on a study. Patient and order are the study's; the template exists, is active and fits the study. The
/// radiologist holds the case, or claims it with this.
#[derive(Debug, Clone)]
pub struct CreateReport {
    /// What is reported on.
    pub imaging_study_id: StudyId,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// The order that the study answers, where the client says.
    pub imaging_order_id: Option<OrderId>,
    /// What it is begun from.
    pub template_id: Option<TemplateId>,
    /// Who writes.
    pub radiologist_id: PractitionerId,
    /// What they wrote, and what the machine says. The template's words stand where nothing was written.
    pub written: AuthoredContent,
}

impl UseCase for CreateReport {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(ReportId::derive(self.imaging_study_id).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        let study = work.read::<Study>(self.imaging_study_id).await?;
        let study = study.ok_or(CommandError::ReferenceNotFound(Reference::Study))?;
        if study.state.patient_id != self.patient_id {
            return Err(CommandError::ReferenceMismatch(Reference::Patient));
        }
        let imaging_order_id = self.order(work, &study.state).await?;
        let content = self.content(work, &study.state).await?;
        ensure_case_claimed(work, self.imaging_study_id, self.radiologist_id).await?;
        let new = NewReport {
            imaging_study_id: self.imaging_study_id,
            imaging_order_id,
            patient_id: self.patient_id,
            radiologist_id: self.radiologist_id,
            template_id: self.template_id,
            written: AuthoredContent {
                content,
                ai_assist_summary: self.written.ai_assist_summary.clone(),
            },
        };
        let id = ReportId::derive(self.imaging_study_id);
        work.create::<Report>(id, Command::Create(Box::new(new)))
            .await
    }
}

impl CreateReport {
    /// The study's order. A study that is about to be linked has none yet: then the order has to be one that it will be
    /// linked to, of the same patient and accession number.
    async fn order(
        &self,
        work: &mut UnitOfWork<'_>,
        study: &Study,
    ) -> Result<Option<OrderId>, CommandError> {
        let linked = study.linking.order();
        let Some(named) = self.imaging_order_id.filter(|id| linked != Some(*id)) else {
            return Ok(linked);
        };
        let order = work.read::<Order>(named).await?;
        let order = order.ok_or(CommandError::ReferenceNotFound(Reference::Order))?;
        let number = Some(&order.state.request.accession_number);
        let same_number = study.details.accession_number.as_ref() == number;
        let same_patient = order.state.patient_id == study.patient_id;
        match linked {
            None if same_number && same_patient => Ok(Some(named)),
            None | Some(_) => Err(CommandError::ReferenceMismatch(Reference::Order)),
        }
    }

    /// What was written, with the template's words where nothing was.
    async fn content(
        &self,
        work: &mut UnitOfWork<'_>,
        study: &Study,
    ) -> Result<Content, CommandError> {
        let written = self.written.content.clone();
        let Some(template_id) = self.template_id else {
            return Ok(written);
        };
        let template = work.read::<ReportTemplate>(template_id).await?;
        let template = template.ok_or(CommandError::ReferenceNotFound(Reference::Template))?;
        if !template.state.is_active {
            return Err(CommandError::ReferenceInactive(Reference::Template));
        }
        let body_part = study.details.body_part.as_ref();
        if !template
            .state
            .applies_to(Some(&study.details.modality_code), body_part)
        {
            return Err(CommandError::ReferenceMismatch(Reference::Template));
        }
        Ok(match &template.state.default_text {
            Some(words) => written.or_default_text(words),
            None => written,
        })
    }
}
