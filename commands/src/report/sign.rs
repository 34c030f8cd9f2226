//! Signing of reports, and addenda.

use std::time::Duration;

use roentgen_domain::Versioned;
use roentgen_domain::ids::{PractitionerId, ReportId, StreamId, StudyId, TenantId};
use roentgen_domain::order::Order;
use roentgen_domain::phi::{Phi, PhiText};
use roentgen_domain::report::{
    AddendumKind, Command, CriticalNotice, NewAddendum, NewCommunication, Report, Sign, Status,
};
use roentgen_domain::report_template::ReportTemplate;
use roentgen_domain::study::Study;

use super::ensure_draft_editable;
use crate::error::{CommandError, Violation};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that signs a report. A final report requires an impression, and structured data that satisfy the current
/// schema of the template.
#[derive(Debug, Clone)]
pub struct SignReport {
    /// Id of the report.
    pub id: ReportId,
    /// Radiologist who signs.
    pub radiologist_id: PractitionerId,
    /// Whether the report becomes final; otherwise preliminary.
    pub is_final: bool,
    /// Communication that has already taken place.
    pub communication: Option<NewCommunication>,
    /// Time within which a critical result must be communicated.
    pub critical_deadline: Duration,
}

impl UseCase for SignReport {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        ensure_draft_editable(work, self.id, self.radiologist_id).await?;
        if self.is_final {
            check_final_requirements(work, self.id).await?;
        }
        let sign = Sign {
            radiologist_id: self.radiologist_id,
            is_final: self.is_final,
            communication: self.communication.clone(),
            notice: critical_notice(work, self.id, self.critical_deadline).await?,
        };
        work.decide::<Report>(self.id, Command::Sign(Box::new(sign)))
            .await
    }
}

/// Checks the requirements of a final report, and returns all violations together.
async fn check_final_requirements(
    work: &mut UnitOfWork<'_>,
    id: ReportId,
) -> Result<(), CommandError> {
    let Some(report) = work.read::<Report>(id).await? else {
        return Ok(());
    };
    match report.state.status() {
        Status::Draft | Status::Preliminary => {}
        Status::Final | Status::Corrected | Status::Cancelled => return Ok(()),
    }
    // The content of an erased patient cannot be checked; the aggregate rejects the command.
    let Some(written) = report.state.authored_content() else {
        return Ok(());
    };
    let mut wrong = Vec::new();
    if written.content.impression.is_none() {
        wrong.push(missing_field(
            "/impression",
            "a final report requires an impression",
        ));
    }
    let template = match report.state.template_id {
        Some(id) => work.read::<ReportTemplate>(id).await?,
        None => None,
    };
    if let Some(schema) = template
        .as_ref()
        .and_then(|template| template.state.enforced_schema())
    {
        let data = written.content.structured_data;
        match data.and_then(|data| data.expose().expose().read().ok()) {
            None => wrong.push(missing_field(
                "/structured_data",
                "required by the template",
            )),
            Some(data) => wrong.extend(work.schema_violations(schema, data).await?),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(CommandError::Invalid(wrong))
}

fn missing_field(pointer: &str, detail: &str) -> Violation {
    Violation {
        pointer: Phi::new(pointer.to_owned()),
        detail: detail.to_owned(),
    }
}

/// Command that adds an addendum to a final report.
#[derive(Debug, Clone)]
pub struct AddAddendum {
    /// Id of the report.
    pub id: ReportId,
    /// Radiologist who adds the addendum.
    pub radiologist_id: PractitionerId,
    /// Kind of addendum.
    pub kind: AddendumKind,
    /// Text of the addendum.
    pub content: PhiText,
    /// Whether the result is critical now; unchanged if absent.
    pub critical_result: Option<bool>,
    /// Time within which a critical result must be communicated.
    pub critical_deadline: Duration,
}

impl UseCase for AddAddendum {
    type Aggregate = Report;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Report>, CommandError> {
        let new = NewAddendum {
            radiologist_id: self.radiologist_id,
            kind: self.kind,
            content: self.content.clone(),
            critical_result: self.critical_result,
            notice: critical_notice(work, self.id, self.critical_deadline).await?,
        };
        work.decide::<Report>(self.id, Command::AddAddendum(Box::new(new)))
            .await
    }
}

/// Returns the order that the study is linked to now, and its ordering practitioner, for the notice of a critical
/// result.
async fn critical_notice(
    work: &mut UnitOfWork<'_>,
    id: ReportId,
    critical_deadline: Duration,
) -> Result<CriticalNotice, CommandError> {
    let report = work.read::<Report>(id).await?;
    let (study, known) = match &report {
        Some(report) => (
            Some(report.state.imaging_study_id),
            report.state.imaging_order_id,
        ),
        None => (None, None),
    };
    let linked = linked_order(work, study).await?;
    let imaging_order_id = linked.or(known);
    let order = match imaging_order_id {
        Some(order) => work.read::<Order>(order).await?,
        None => None,
    };
    Ok(CriticalNotice {
        imaging_order_id,
        ordering_practitioner_id: order
            .and_then(|order| order.state.request.ordering_practitioner_id),
        critical_deadline,
    })
}

async fn linked_order(
    work: &mut UnitOfWork<'_>,
    study: Option<StudyId>,
) -> Result<Option<roentgen_domain::ids::OrderId>, CommandError> {
    let Some(study) = study else { return Ok(None) };
    let study = work.read::<Study>(study).await?;
    Ok(study.and_then(|study| study.state.linking.order()))
}
