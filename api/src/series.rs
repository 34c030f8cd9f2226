//! Handlers of `/pacs/series`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::study::AddSeries;
use roentgen_domain::ids::SeriesId;
use roentgen_domain::study::Series;
use roentgen_projections::series;

use crate::app::App;
use crate::command_request::{ChildResource, CommandRequest};
use crate::openapi::SeriesDocument;
use crate::problem::Problem;
use crate::read_request::ReadRequest;
use crate::studies::SeriesBody;

const COLLECTION: &str = "/pacs/series";

/// Adds one series to a study.
#[utoipa::path(post, path = "/pacs/series", request_body = SeriesBody,
    responses((status = 201, body = SeriesDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (study_id, facts) = call.body::<SeriesBody>()?.parse()?;
    let id = SeriesId::derive(study_id, &facts.series_instance_uid);
    let part = ChildResource {
        id: id.as_uuid(),
        place: format!("{COLLECTION}?imaging_study_id={study_id}"),
        state: Series {
            imaging_study_id: study_id,
            facts: facts.clone(),
        },
    };
    call.run_for_child(&app, &AddSeries { study_id, facts }, part)
        .await
}

/// Lists series by series number, optionally of one study.
#[utoipa::path(get, path = "/pacs/series",
    params(("imaging_study_id" = Option<Uuid>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [SeriesDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let study = query.take_uuid("imaging_study_id")?;
    query.finish()?;
    let page = series::page(read.tenant, study, page.after, page.limit);
    read.list(&app, page).await
}
