//! Handler of `/radiology/critical-results`: results that have to be communicated.

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::ids::{OrderId, PatientId, PractitionerId, ReportId, StudyId, TenantId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{CriticalCommunication, Report, Status};
use roentgen_domain::{Timestamp, Versioned};
use roentgen_projections::critical_results::{self, CriticalResultStatus};
use roentgen_store::clock;
use roentgen_store::read_model::Row;
use serde::Serialize;

use super::view;
use crate::app::App;
use crate::openapi::{CriticalResultDocument, values};
use crate::problem::Problem;
use crate::read_request::ReadRequest;
use crate::render::PhiState;

const COLLECTION: &str = "/radiology/critical-results";
const STATUS_NAMES: &str = "open, overdue, communicated, all";

#[derive(Serialize)]
struct Document {
    /// Report id.
    id: ReportId,
    tenant_id: TenantId,
    radiology_report_id: ReportId,
    imaging_study_id: StudyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    imaging_order_id: Option<OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_practitioner_id: Option<PractitionerId>,
    patient_id: PatientId,
    radiologist_id: PractitionerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by_radiologist_id: Option<PractitionerId>,
    status: Status,
    critical_communication: CriticalCommunication,
    raised_at: Timestamp,
    deadline: Timestamp,
    age_seconds: i64,
    overdue: bool,
    communications: Vec<view::CommunicationDocument>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u64,
    phi: PhiState,
    #[serde(skip_serializing_if = "Option::is_none")]
    impression: Option<PhiText>,
}

/// Lists critical results, oldest first.
#[utoipa::path(get, path = "/radiology/critical-results",
    params(("status" = Option<values::CriticalResultFilter>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [CriticalResultDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let standings = query.take_enum("status", parse_status_filter, STATUS_NAMES)?;
    query.finish()?;
    let standings =
        standings.unwrap_or(&[CriticalResultStatus::Open, CriticalResultStatus::Overdue]);
    let page = critical_results::page(read.tenant, standings, page.after, page.limit);
    let keyring = &app.store.keyring;
    let now = clock::now();
    let render = async |row: Row| {
        let (resource, phi) = view::opened(&row, keyring).await?;
        document(&resource, phi, now).ok_or_else(Problem::not_found)
    };
    read.list_as(&app, page, render).await
}

/// Parses the filter `status`. `open` selects all results that are not communicated, overdue or not.
fn parse_status_filter(word: &str) -> Option<&'static [CriticalResultStatus]> {
    if word.eq_ignore_ascii_case("all") {
        return Some(CriticalResultStatus::ALL);
    }
    CriticalResultStatus::parse(word).map(|status| match status {
        CriticalResultStatus::Open => {
            [CriticalResultStatus::Open, CriticalResultStatus::Overdue].as_slice()
        }
        CriticalResultStatus::Overdue => &[CriticalResultStatus::Overdue],
        CriticalResultStatus::Communicated => &[CriticalResultStatus::Communicated],
    })
}

fn document(resource: &Versioned<Report>, phi: PhiState, now: Timestamp) -> Option<String> {
    let report = &resource.state;
    let critical = report.critical?;
    let is_open = report.open_critical().is_some();
    let age = now
        .as_millis()
        .saturating_sub(critical.raised_at.as_millis());
    let told = report.critical_communications();
    let document = Document {
        id: report.id(),
        tenant_id: resource.tenant_id,
        radiology_report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        imaging_order_id: report.imaging_order_id,
        ordering_practitioner_id: critical.ordering_practitioner_id,
        patient_id: report.patient_id,
        radiologist_id: report.radiologist_id,
        signed_by_radiologist_id: report
            .signed_version()
            .map(|version| version.facts.signed_by_radiologist_id),
        status: report.status(),
        critical_communication: report.critical_communication(),
        raised_at: critical.raised_at,
        deadline: critical.deadline,
        age_seconds: age / 1000,
        overdue: critical.overdue || (is_open && now >= critical.deadline),
        communications: told
            .map(|value| view::communication(report, phi, value))
            .collect(),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
        version: resource.version,
        phi,
        impression: report
            .released_content()
            .and_then(|content| content.impression),
    };
    serde_json::to_string(&document).ok()
}
