//! Read requests: read model, freshness and `as_of`.

mod list;

use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::json::Members;
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::loader::{self, AsOf};
use roentgen_store::read_model::{ReadModel, Row};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use list::weight;

use crate::app::App;
use crate::authorization::Permission;
use crate::command_request::{LOG_POSITION, etag, insert_header, json};
use crate::identity::Caller;
use crate::logged;
use crate::pagination::{Cursors, Page};
use crate::problem::{Problem, ProblemCode};
use crate::query_params::{StrictQuery, parse_uuid};
use crate::render::{self, OpenedPhi, PhiState};

/// Maximum time that a read waits for the read models.
const READ_MODEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Read request.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) caller: Caller,
    pub(crate) tenant: TenantId,
    path: String,
    raw_query: Option<String>,
    freshness: Freshness,
    sees_phi: bool,
    cursors: Cursors,
}

/// Freshness that the caller requires of the read models.
#[derive(Debug, Clone, Copy)]
struct Freshness {
    /// Position that this node had acknowledged to the tenant when the read arrived.
    accepted: u64,
    /// `Min-Log-Position`.
    at_least: Option<u64>,
    /// `Prefer: respond-async`.
    at_once: bool,
}

impl FromRequestParts<App> for ReadRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller
            .ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "authentication required"))?;
        let tenant = caller.tenant()?;
        let freshness = Freshness {
            accepted: app.store.appender.read_watermarks().position(tenant),
            at_least: min_log_position(&parts.headers)?,
            at_once: prefers_async(&parts.headers),
        };
        let path = parts.uri.path().to_owned();
        let raw_query = parts.uri.query().map(str::to_owned);
        Ok(Self {
            caller,
            tenant,
            path,
            raw_query,
            freshness,
            sees_phi: true,
            cursors: app.cursors.clone(),
        })
    }
}

fn min_log_position(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("min-log-position") else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    let position = position.ok_or_else(|| {
        Problem::new(
            ProblemCode::InvalidHeader,
            "Min-Log-Position must be an integer",
        )
    })?;
    Ok(Some(position))
}

fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all("prefer")
        .iter()
        .filter_map(|header| header.to_str().ok());
    values
        .flat_map(|text| text.split(','))
        .any(|text| text.trim().eq_ignore_ascii_case("respond-async"))
}

/// Id in a path.
#[derive(Debug)]
pub(crate) struct PathId(pub(crate) Uuid);

impl FromRequestParts<App> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        let Path(text) = path.map_err(|_| Problem::parameter("id", "must be one path segment"))?;
        parse_uuid("id", &text).map(Self)
    }
}

impl ReadRequest {
    /// Seals the PHI if the caller lacks this permission.
    pub(crate) fn with_phi_for(self, capability: Permission) -> Self {
        let sees_phi = capability.is_granted_to(&self.caller.roles);
        Self { sees_phi, ..self }
    }

    /// Returns a row's PHI as the caller may see it; `None` if the row belongs to no patient.
    async fn phi(&self, app: &App, row: &Row) -> Result<Option<OpenedPhi<Members>>, Problem> {
        let Some(patient) = row.patient_id else {
            return Ok(None);
        };
        if !self.sees_phi {
            return Ok(Some(OpenedPhi::Unavailable(PhiState::Sealed)));
        }
        let phi = render::opened(row, row.id.into(), patient, &app.store.keyring).await?;
        Ok(Some(phi))
    }

    /// Renders a row of a list. Unreadable PHI is marked in the row and does not fail the list.
    async fn render_row(&self, app: &App, row: Row) -> Result<String, Problem> {
        let phi = self.phi(app, &row).await?;
        Ok(render::row(row.document, phi.as_ref()))
    }

    /// Returns the query, from which the endpoint takes its parameters.
    pub(crate) fn query(&self) -> Result<StrictQuery, Problem> {
        StrictQuery::parse(self.raw_query.as_deref(), &self.caller)
    }

    /// Takes `limit` and `cursor` of a list.
    pub(crate) fn take_page(&self, query: &mut StrictQuery, list: &str) -> Result<Page, Problem> {
        query.take_page(&self.cursors, self.tenant, list)
    }

    /// Returns the cursor of the page after this sort key.
    pub(crate) fn cursor(&self, key: &[u8], list: &str) -> String {
        self.cursors.encode(key, self.tenant, list)
    }

    /// Returns the path as requested.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the query string as sent.
    pub(crate) fn raw_query(&self) -> Option<&str> {
        self.raw_query.as_deref()
    }

    /// Waits until the read models have reached the required position. Returns the visible position. Read models that
    /// are ahead of the log are rejected.
    pub(crate) async fn wait_for_freshness(&self, app: &App) -> Result<u64, Problem> {
        logged::fits_models(app)?;
        let Freshness {
            accepted,
            at_least,
            at_once,
        } = self.freshness;
        let wanted = accepted.max(at_least.unwrap_or(0));
        self.reaches(app, AsOf::Now).await?;
        if at_once {
            return Ok(app.progress.position());
        }
        let deadline = Instant::now() + READ_MODEL_TIMEOUT;
        let shown = app.progress.wait_for(wanted, deadline).await;
        if at_least.is_some_and(|number| shown < number) {
            let detail = format!("the read models show position {shown}");
            return Err(Problem::new(ProblemCode::ProjectionLagging, detail));
        }
        Ok(shown)
    }

    /// Rejects positions in the request that the log has not reached.
    pub(crate) async fn reaches(&self, app: &App, as_of: AsOf) -> Result<(), Problem> {
        let of_past = match as_of {
            AsOf::Position(position) => Some(position),
            AsOf::Now | AsOf::Version(_) | AsOf::Time(_) => None,
        };
        let reads = app.reads(self.tenant);
        for position in of_past.into_iter().chain(self.freshness.at_least) {
            logged::reaches(app, &reads, position).await?;
        }
        Ok(())
    }

    /// Returns one resource: from its read model if that is fresh enough, otherwise folded from its stream.
    pub(crate) async fn get<A: Aggregate>(
        &self,
        app: &App,
        model: &'static ReadModel,
        id: StreamId,
    ) -> Result<Response, Problem> {
        let mut query = self.query()?;
        let as_of = query.take_as_of()?;
        query.finish()?;
        let shown = app.progress.position();
        let fits = app.progress.halt_reason().is_none();
        let fresh = fits && (shown >= self.freshness.accepted || self.freshness.at_once);
        match (as_of, self.freshness.at_least) {
            (AsOf::Now, at_least) if fresh && at_least.is_none_or(|number| number <= shown) => {
                self.model_row::<A>(app, model, id, shown).await
            }
            (AsOf::Now, Some(_)) => {
                let shown = self.wait_for_freshness(app).await?;
                self.model_row::<A>(app, model, id, shown).await
            }
            (as_of, _) => self.folded_response::<A>(app, id, as_of).await,
        }
    }

    /// Returns the resource from its row, or folded from its stream if the row's PHI is unreadable.
    async fn model_row<A: Aggregate>(
        &self,
        app: &App,
        model: &'static ReadModel,
        id: StreamId,
        shown: u64,
    ) -> Result<Response, Problem> {
        let row = self.own_row(app, model, id.as_uuid()).await?;
        let phi = self.phi(app, &row).await?;
        if phi.as_ref().map(OpenedPhi::state) == Some(PhiState::Unreadable) {
            return self.folded_response::<A>(app, id, AsOf::Now).await;
        }
        let body = render::row(row.document, phi.as_ref());
        Ok(answer(body, row.version, shown))
    }

    /// Returns a row that has no stream of its own, and the visible position, once the read model is fresh enough.
    pub(crate) async fn row(
        &self,
        app: &App,
        model: &'static ReadModel,
        id: Uuid,
    ) -> Result<(Row, u64), Problem> {
        let shown = self.wait_for_freshness(app).await?;
        Ok((self.own_row(app, model, id).await?, shown))
    }

    async fn own_row(
        &self,
        app: &App,
        model: &'static ReadModel,
        id: Uuid,
    ) -> Result<Row, Problem> {
        let mut rows = app.reads(self.tenant).rows(model, &[id]).await?;
        rows.pop().ok_or_else(Problem::not_found)
    }

    async fn folded_response<A: Aggregate>(
        &self,
        app: &App,
        id: StreamId,
        as_of: AsOf,
    ) -> Result<Response, Problem> {
        let folded = self.load::<A>(app, id, as_of).await?;
        let resource = &folded.resource;
        let body = if !self.sees_phi {
            render::closed_resource(resource, PhiState::Sealed)
        } else if folded.is_readable {
            render::resource(resource)
        } else {
            render::closed_resource(resource, PhiState::Unreadable)
        };
        Ok(answer(body, resource.version, folded.position))
    }

    /// Folds one resource from its stream, for responses with a rendering of their own.
    pub(crate) async fn state<A: Aggregate>(
        &self,
        app: &App,
        id: StreamId,
        as_of: AsOf,
    ) -> Result<Folded<A>, Problem> {
        if self.freshness.at_least.is_some() && as_of == AsOf::Now {
            self.wait_for_freshness(app).await?;
        }
        self.load(app, id, as_of).await
    }

    async fn load<A: Aggregate>(
        &self,
        app: &App,
        id: StreamId,
        as_of: AsOf,
    ) -> Result<Folded<A>, Problem> {
        let reads = app.reads(self.tenant);
        let keyring = &app.store.keyring;
        self.reaches(app, as_of).await?;
        let position = match as_of {
            AsOf::Position(position) => position,
            AsOf::Now | AsOf::Version(_) | AsOf::Time(_) => reads.head().await?.position,
        };
        let (loaded, is_readable) = match loader::load::<A>(&reads, keyring, id, as_of).await {
            Err(error) if error.is_missing_key() => {
                let _: OpenedPhi<()> = render::unread(id, &error);
                let closed = loader::load_closed::<A>(&reads, id, as_of).await?;
                (closed, false)
            }
            loaded => (loaded?, true),
        };
        Ok(Folded {
            resource: loaded.ok_or_else(Problem::not_found)?,
            position,
            is_readable,
        })
    }
}

/// Resource folded from its stream.
#[derive(Debug)]
pub(crate) struct Folded<A> {
    pub(crate) resource: Versioned<A>,
    /// Log position up to which the resource is folded.
    pub(crate) position: u64,
    /// Whether the PHI could be opened; false if a key is missing.
    pub(crate) is_readable: bool,
}

/// Returns 200 with a resource, its version and its log position.
pub(crate) fn answer(body: String, version: u64, position: u64) -> Response {
    let mut response = json(StatusCode::OK, body);
    insert_header(
        response.headers_mut(),
        header::ETAG.as_str(),
        &etag(version),
    );
    insert_header(response.headers_mut(), LOG_POSITION, &position.to_string());
    response
}
