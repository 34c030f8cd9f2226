//! Creation of reports.

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

/// Command that creates a draft on a study. Patient and order are those of the study; the template must exist, be
/// active and match the study. The radiologist must hold the case, or claims it in the same append.
#[derive(Debug, Clone)]
pub struct CreateReport {
    /// Study to report on.
    pub imaging_study_id: StudyId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Order that the study is linked to, if the client names it.
    pub imaging_order_id: Option<OrderId>,
    /// Template of the report.
    pub template_id: Option<TemplateId>,
    /// Radiologist who writes the report.
    pub radiologist_id: PractitionerId,
    /// Text of the radiologist and AI content. Fields without text get the default text of the template.
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
    /// Returns the order of the study. If the study is not linked yet, the named order must be one that the policy will
    /// link: it has the same patient and accession number.
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

    /// Returns the radiologist's text, with the template's default text in empty fields.
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
