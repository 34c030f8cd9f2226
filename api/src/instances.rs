//! Handlers of `/pacs/instances`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::study::AddInstance;
use roentgen_commands::{CommandError, Reference};
use roentgen_domain::Versioned;
use roentgen_domain::ids::{InstanceId, SeriesId, StudyId, TenantId};
use roentgen_domain::study::{Instance, Series};
use roentgen_projections::{instances, series};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::command_request::{ChildResource, CommandRequest};
use crate::logged;
use crate::openapi::InstanceDocument;
use crate::problem::{Problem, ProblemCode};
use crate::read_request::ReadRequest;
use crate::studies::InstanceBody;

const COLLECTION: &str = "/pacs/instances";
/// Maximum time to wait for the series in the read models.
const READ_MODEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Adds one instance to a series.
#[utoipa::path(post, path = "/pacs/instances", request_body = InstanceBody,
    responses((status = 201, body = InstanceDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (series, instance) = call.body::<InstanceBody>()?.parse()?;
    let study_id = study_of(&app, call.tenant, series).await?;
    let series_id = SeriesId::from(series);
    let part = ChildResource {
        id: InstanceId::derive(series_id, &instance.sop_instance_uid).as_uuid(),
        place: format!("{COLLECTION}?imaging_series_id={series_id}"),
        state: Instance {
            imaging_series_id: series_id,
            imaging_study_id: study_id,
            facts: instance.clone(),
        },
    };
    let add = AddInstance {
        study_id,
        series_id,
        instance,
    };
    call.run_for_child(&app, &add, part).await
}

/// Returns the study of a series, which only the series' row names. If the row does not exist yet, waits until the read
/// models reach the head, so that a series just acknowledged by another node is found.
async fn study_of(app: &App, tenant: TenantId, series: Uuid) -> Result<StudyId, Problem> {
    logged::fits_models(app)?;
    if let Some(study) = row_of(app, tenant, series).await? {
        return Ok(study);
    }
    let head = app.reads(tenant).head().await?.position;
    let shown = app
        .progress
        .wait_for(head, Instant::now() + READ_MODEL_TIMEOUT)
        .await;
    match row_of(app, tenant, series).await? {
        Some(study) => Ok(study),
        None if shown < head => {
            let detail = format!("read models have reached position {shown} only");
            Err(Problem::new(ProblemCode::ProjectionLagging, detail))
        }
        None => Err(CommandError::ReferenceNotFound(Reference::Series).into()),
    }
}

async fn row_of(app: &App, tenant: TenantId, series: Uuid) -> Result<Option<StudyId>, Problem> {
    let mut rows = app.reads(tenant).rows(&series::MODEL, &[series]).await?;
    let Some(row) = rows.pop() else {
        return Ok(None);
    };
    let part: Versioned<Series> =
        serde_json::from_str(&row.document).map_err(|error| Problem::internal(&error))?;
    Ok(Some(part.state.imaging_study_id))
}

/// Lists instances by instance number, optionally of one series.
#[utoipa::path(get, path = "/pacs/instances",
    params(("imaging_series_id" = Option<Uuid>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [InstanceDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let of_series = query.take_uuid("imaging_series_id")?;
    query.finish()?;
    let page = instances::page(read.tenant, of_series, page.after, page.limit);
    read.list(&app, page).await
}
