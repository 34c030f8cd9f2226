//! Handler of `/patients/{id}/timeline`.

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::ids::PatientId;
use roentgen_projections::timeline::{self, EntryKind, TimelineScope};
use roentgen_store::read_model::Row;

use crate::app::App;
use crate::authorization::Permission;
use crate::openapi::TimelineEntry;
use crate::pagination::rows_that_fit;
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest, weight};

/// Lists a patient's orders, studies, reports and AI tasks, newest first. Callers without draft access see released
/// reports only and no AI tasks.
#[utoipa::path(get, path = "/patients/{id}/timeline",
    params(("id" = Uuid, Path), crate::openapi::PageParameters),
    responses((status = 200, body = [TimelineEntry])))]
pub(crate) async fn list(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, read.list_name())?;
    query.finish()?;
    let patient = PatientId::from(id);
    let reader = reader(&read);
    let after = page.after.as_ref();
    // One row more of each kind than the page shows: any of them may be the first row of the next page.
    let pages = timeline::pages(read.tenant, patient, reader, after, page.limit + 1);
    let mut rows = Vec::new();
    let shown = read.wait_for_freshness(&app).await?;
    for (kind, query) in pages {
        let found = app.reads(read.tenant).list(&query).await?;
        rows.extend(found.into_iter().map(|row| (kind, row)));
    }
    rows.sort_by(|(_, one), (_, other)| one.sort_key.cmp(&other.sort_key));
    let weights = rows.iter().map(|(_, row)| weight(row));
    let shown_rows = rows_that_fit(weights, page.limit as usize);
    let more = rows.len() > shown_rows;
    rows.truncate(shown_rows);
    let last = rows.last().filter(|_| more);
    let last = last.map(|(_, row)| row.sort_key.as_slice());
    let lines = rows
        .iter()
        .map(|(kind, row)| render_entry(*kind, reader, row));
    let lines = lines.collect::<Result<Vec<String>, Problem>>()?;
    Ok(read.page(&lines, last, shown))
}

fn render_entry(kind: EntryKind, reader: TimelineScope, row: &Row) -> Result<String, Problem> {
    let entry = timeline::entry(kind, reader, row).and_then(|entry| serde_json::to_string(&entry));
    entry.map_err(|error| Problem::internal(&error))
}

fn reader(read: &ReadRequest) -> TimelineScope {
    if Permission::ReadDrafts.is_granted_to(&read.caller.roles) {
        TimelineScope::Full
    } else {
        TimelineScope::ReleasedOnly
    }
}
