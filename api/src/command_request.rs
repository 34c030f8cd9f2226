//! Command request: caller, headers and body; and its response.

mod arrival;
mod body;
mod empty;
mod entries;
mod headers;
mod response;
mod weight;

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use roentgen_commands::{CommandOutcome, Idempotency, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::growth::Size;
use roentgen_domain::ids::TenantId;
use serde::Serialize;

pub(crate) use arrival::{Bodies, BodyLimits};
pub(crate) use body::TenantScopedBody;
pub(crate) use empty::EmptyRequest;
pub(crate) use headers::correlation_id;
pub(crate) use response::{
    ChildResource, LOG_POSITION, SuccessKind, created_response, etag, insert_header, json,
    ok_response, respond,
};

use body::check_media_type;
use headers::if_match;

use crate::app::App;
use crate::identity::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use crate::render;
use crate::routes::strip_version_prefix;

/// Validated command request.
#[derive(Debug)]
pub(crate) struct CommandRequest {
    pub(crate) caller: Caller,
    pub(crate) tenant: TenantId,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Raw query string, kept if the command accepts query parameters.
    query: Option<String>,
}

/// Command request that also accepts query parameters.
#[derive(Debug)]
pub(crate) struct CommandRequestWithQuery {
    pub(crate) call: CommandRequest,
    pub(crate) query: StrictQuery,
}

impl FromRequest<App> for CommandRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let CommandRequestWithQuery { call, query } =
            CommandRequestWithQuery::from_request(request, app).await?;
        query.finish()?;
        Ok(Self {
            query: None,
            ..call
        })
    }
}

impl FromRequest<App> for CommandRequestWithQuery {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller
            .ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "authentication required"))?;
        let query = StrictQuery::parse(parts.uri.query(), &caller)?;
        check_media_type(&parts, &body)?;
        let body = arrived(app, &parts, caller.tenant, body).await?;
        let path = strip_version_prefix(parts.uri.path()).to_owned();
        let tenant = caller.tenant()?;
        let call = CommandRequest {
            caller,
            tenant,
            method: parts.method,
            path,
            headers: parts.headers,
            body,
            query: parts.uri.query().map(str::to_owned),
        };
        Ok(Self { call, query })
    }
}

/// Length in bytes above which a body is processed on a blocking thread: it takes milliseconds, which would delay other
/// requests on the async threads.
const LONG: usize = 64 * 1024;

/// Runs `work`, on a blocking thread if `length` exceeds [`LONG`].
async fn aside<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if length <= LONG {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::internal(&error))
}

/// Reads the body within the limits of its route.
async fn arrived(
    app: &App,
    parts: &Parts,
    tenant: Option<TenantId>,
    body: Body,
) -> Result<Bytes, Problem> {
    let limits = parts.extensions.get::<BodyLimits>().copied();
    let limits = limits.unwrap_or(BodyLimits::USUAL);
    app.bodies.arrived(tenant, limits, body).await
}

impl CommandRequest {
    /// Executes a use case and returns the resource: 200, or 201 with `Location`.
    pub(crate) async fn run<U: UseCase>(
        &self,
        app: &App,
        use_case: &U,
        answer: SuccessKind,
    ) -> Result<Response, Problem> {
        let outcome = self.execute(app, use_case).await?;
        let document = render::resource(&outcome.resource);
        Ok(respond(&outcome, answer, document))
    }

    /// Executes a use case that adds a child to its aggregate; returns 201 with the child.
    pub(crate) async fn run_for_child<U: UseCase, P: Serialize>(
        &self,
        app: &App,
        use_case: &U,
        part: ChildResource<P>,
    ) -> Result<Response, Problem> {
        let outcome = self.execute(app, use_case).await?;
        let id = part.id.into();
        let resource = &outcome.resource;
        let document = Versioned {
            id,
            tenant_id: resource.tenant_id,
            state: part.state,
            created_at: resource.updated_at,
            updated_at: resource.updated_at,
            version: resource.version,
            size: Size::default(),
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = json(StatusCode::CREATED, body);
        let headers = response.headers_mut();
        insert_header(headers, LOG_POSITION, &outcome.position.to_string());
        insert_header(headers, header::LOCATION.as_str(), &part.place);
        Ok(response)
    }

    /// Executes a use case.
    pub(crate) async fn execute<U: UseCase>(
        &self,
        app: &App,
        use_case: &U,
    ) -> Result<CommandOutcome<U::Aggregate>, Problem> {
        let request = self.request()?;
        Ok(app.executor.execute(&request, use_case).await?)
    }

    fn request(&self) -> Result<roentgen_commands::CommandEnvelope, Problem> {
        Ok(roentgen_commands::CommandEnvelope {
            tenant_id: self.tenant,
            actor: self.caller.actor(),
            correlation_id: correlation_id(&self.headers)?,
            causation_id: None,
            if_match: if_match(&self.headers)?,
            idempotency: self.idempotency()?,
        })
    }

    fn idempotency(&self) -> Result<Option<Idempotency>, Problem> {
        let Some(value) = self.headers.get("idempotency-key") else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .filter(|text| (1..=255).contains(&text.len()));
        let key = key.ok_or_else(|| {
            Problem::new(
                ProblemCode::InvalidHeader,
                "Idempotency-Key must be 1 to 255 visible ASCII characters",
            )
        })?;
        let caller = self.caller.sub.as_str();
        let method = self.method.as_str();
        let tenant = self.tenant;
        let said = self.idempotency_payload();
        Ok(Some(Idempotency::new(
            tenant, caller, method, &self.path, key, &said,
        )))
    }

    /// Returns the content that an idempotent retry must repeat: the body, and the query if it is accepted.
    fn idempotency_payload(&self) -> Cow<'_, [u8]> {
        match &self.query {
            None => Cow::Borrowed(&self.body),
            Some(query) => Cow::Owned([query.as_bytes(), b"\n", &self.body].concat()),
        }
    }
}
