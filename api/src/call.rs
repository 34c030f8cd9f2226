//! A command on its way in: caller, terms and body; and its answer on the way out.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use roentgen_commands::{Idempotency, Outcome, UseCase};
use roentgen_domain::ids::{CorrelationId, TenantId};
use roentgen_domain::{Aggregate, Versioned};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::app::App;
use crate::fields::Object;
use crate::identity::Caller;
use crate::params::Query;
use crate::problem::{Code, Problem};
use crate::render;
use crate::routes::canonical;

/// The longest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How much of a longer one is read before it is refused.
const MAX_READ_BYTES: usize = 8 * MAX_BODY_BYTES;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers tell how far the log was.
pub(crate) const LOG_POSITION: &str = "log-position";

/// A command's request, whole.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) tenant: TenantId,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// What the query says beside the body, where it may say anything.
    query: Option<String>,
}

/// A command that may be told of in the query, too.
#[derive(Debug)]
pub(crate) struct CallWithQuery {
    pub(crate) call: Call,
    pub(crate) query: Query,
}

impl FromRequest<App> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let CallWithQuery { call, query } = CallWithQuery::from_request(request, app).await?;
        query.finish()?;
        Ok(Self {
            query: None,
            ..call
        })
    }
}

impl FromRequest<App> for CallWithQuery {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(Code::Unauthenticated, "no caller"))?;
        let query = Query::of(parts.uri.query(), &caller)?;
        let body = tokio::time::timeout(BODY_TIMEOUT, whole(body))
            .await
            .map_err(|_| {
                Problem::new(
                    Code::RequestTimeout,
                    "the body did not arrive within 30 seconds",
                )
            })??;
        let path = canonical(parts.uri.path()).to_owned();
        let tenant = caller.tenant()?;
        let call = Call {
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

/// The body's bytes. One that is too long is read on all the same, up to a bound: a client that sends first and listens
/// then would find the connection broken instead of the answer.
async fn whole(body: Body) -> Result<Bytes, Problem> {
    let refused = || {
        let detail = "a body is at most 8 MiB, and has to arrive whole";
        Problem::new(Code::BodyTooLarge, detail)
    };
    let declared = body.size_hint().exact();
    if declared.is_some_and(|it| it <= MAX_BODY_BYTES as u64) {
        return to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| refused());
    }
    let (mut read, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| refused())?;
        length += chunk.len();
        if length <= MAX_BODY_BYTES {
            read.extend_from_slice(&chunk);
        } else if length > MAX_READ_BYTES {
            break;
        }
    }
    if length <= MAX_BODY_BYTES {
        return Ok(read.into());
    }
    Err(refused())
}

/// A body that every command's body is: it may name the tenant.
pub(crate) trait CommandBody: DeserializeOwned {
    /// `tenant_id`, where the client sends it.
    fn tenant_id(&self) -> Option<Uuid>;
}

impl Call {
    /// The body's members. What is no JSON of this shape is refused here, with the place and without the words.
    pub(crate) fn body<B: CommandBody>(&self) -> Result<B, Problem> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let read = serde_path_to_error::deserialize::<_, Object<B>>(&mut json);
        let Object(body) = read.map_err(|error| out_of_shape(error.path(), error.inner()))?;
        json.end().map_err(|error| malformed(&error))?;
        self.caller.owns(body.tenant_id())?;
        Ok(body)
    }

    /// The same, where there may be no body.
    pub(crate) fn body_or_default<B: CommandBody + Default>(&self) -> Result<B, Problem> {
        if self.body.is_empty() {
            return Ok(B::default());
        }
        self.body()
    }

    /// Carries out a use case and answers with the resource: 200, or 201 with its place.
    pub(crate) async fn run<U: UseCase>(
        &self,
        app: &App,
        use_case: &U,
        answer: Answer,
    ) -> Result<Response, Problem> {
        let outcome = self.execute(app, use_case).await?;
        Ok(respond(&outcome, answer))
    }

    /// Carries out a use case that adds a part to its aggregate, and answers with that part: 201.
    pub(crate) async fn run_for_part<U: UseCase, P: Serialize>(
        &self,
        app: &App,
        use_case: &U,
        part: Part<P>,
    ) -> Result<Response, Problem> {
        let outcome = self.execute(app, use_case).await?;
        let (id, resource) = (part.id.into(), &outcome.resource);
        let document = Versioned {
            id,
            tenant_id: resource.tenant_id,
            state: part.state,
            created_at: resource.updated_at,
            updated_at: resource.updated_at,
            version: resource.version,
        };
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = json(StatusCode::CREATED, body);
        let headers = response.headers_mut();
        put(headers, LOG_POSITION, &outcome.position.to_string());
        put(headers, header::LOCATION.as_str(), &part.place);
        Ok(response)
    }

    /// Carries out a use case.
    pub(crate) async fn execute<U: UseCase>(
        &self,
        app: &App,
        use_case: &U,
    ) -> Result<Outcome<U::Aggregate>, Problem> {
        let request = self.request()?;
        Ok(app.executor.execute(&request, use_case).await?)
    }

    fn request(&self) -> Result<roentgen_commands::Request, Problem> {
        Ok(roentgen_commands::Request {
            tenant_id: self.tenant,
            actor: self.caller.actor(),
            correlation_id: correlation(&self.headers)?,
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
            .filter(|it| (1..=255).contains(&it.len()));
        let key = key.ok_or_else(|| {
            Problem::new(
                Code::InvalidHeader,
                "Idempotency-Key must be 1 to 255 visible characters",
            )
        })?;
        let (caller, method) = (self.caller.sub.as_str(), self.method.as_str());
        let (tenant, said) = (self.tenant, self.said());
        Ok(Some(Idempotency::new(
            tenant, caller, method, &self.path, key, &said,
        )))
    }

    /// What a repeat has to say, too: the body, and the query where it may say anything.
    fn said(&self) -> Cow<'_, [u8]> {
        match &self.query {
            None => Cow::Borrowed(&self.body),
            Some(query) => Cow::Owned([query.as_bytes(), b"\n", &self.body].concat()),
        }
    }
}

/// What a command answers with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// 201, at this collection.
    Created(&'static str),
    /// 200.
    Changed,
    /// 201, at this collection, where the resource began with the command; else 200.
    Upserted(&'static str),
}

impl Answer {
    /// Where a new resource is.
    const fn collection(self, created: bool) -> Option<&'static str> {
        match (self, created) {
            (Self::Created(collection), _) | (Self::Upserted(collection), true) => Some(collection),
            (Self::Changed, _) | (Self::Upserted(_), false) => None,
        }
    }
}

/// A part of an aggregate that has an id of its own.
#[derive(Debug)]
pub(crate) struct Part<P> {
    pub(crate) id: Uuid,
    /// Where it is listed.
    pub(crate) place: String,
    /// What it shows.
    pub(crate) state: P,
}

fn respond<A: Aggregate>(outcome: &Outcome<A>, answer: Answer) -> Response {
    let resource = &outcome.resource;
    let collection = answer.collection(outcome.created);
    let status = match collection {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let mut response = json(status, render::resource(resource));
    let headers = response.headers_mut();
    put(headers, header::ETAG.as_str(), &etag(resource.version));
    put(headers, LOG_POSITION, &outcome.position.to_string());
    if let Some(collection) = collection {
        put(
            headers,
            header::LOCATION.as_str(),
            &format!("{collection}/{}", resource.id),
        );
    }
    response
}

/// 200 with a resource, or a part of it, that is rendered in a way of its own.
pub(crate) fn changed<A>(outcome: &Outcome<A>, body: String) -> Response {
    let mut response = json(StatusCode::OK, body);
    let headers = response.headers_mut();
    let version = outcome.resource.version;
    put(headers, header::ETAG.as_str(), &etag(version));
    put(headers, LOG_POSITION, &outcome.position.to_string());
    response
}

/// 201 with a part that was added to its aggregate, and the part's place.
pub(crate) fn added<A>(collection: &str, id: Uuid, outcome: &Outcome<A>, body: String) -> Response {
    let mut response = json(StatusCode::CREATED, body);
    let headers = response.headers_mut();
    put(
        headers,
        header::ETAG.as_str(),
        &etag(outcome.resource.version),
    );
    put(headers, LOG_POSITION, &outcome.position.to_string());
    put(
        headers,
        header::LOCATION.as_str(),
        &format!("{collection}/{id}"),
    );
    response
}

/// A JSON answer from text.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// A resource's `ETag`: its stream's version.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Sets a header whose value is known to be visible ASCII.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = http::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// The caller's correlation id, or the one that the outermost layer made: it lets nothing else through.
pub(crate) fn correlation(headers: &HeaderMap) -> Result<CorrelationId, Problem> {
    let value = headers
        .get("x-correlation-id")
        .and_then(|it| it.to_str().ok());
    let id = value.and_then(|it| Uuid::parse_str(it).ok());
    let id =
        id.ok_or_else(|| Problem::new(Code::InvalidHeader, "X-Correlation-Id must be a UUID"))?;
    Ok(id.into())
}

/// `If-Match: "<version>"`; `*` is any version.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    match version.and_then(|it| it.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::new(
            Code::InvalidHeader,
            "If-Match must be an ETag as answered",
        )),
    }
}

/// A body that is JSON but not of the shape, or not JSON. A client's own words are not repeated: they could be PHI.
fn out_of_shape(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let (said, mut pointer) = (error.to_string(), pointer(path));
    let detail = if said.starts_with("unknown field") {
        "is not known here"
    } else if let Some(name) = said.strip_prefix("duplicate field `") {
        // The path ends at the object here; the name is one of ours, not the client's.
        pointer = format!("{pointer}/{}", name.split('`').next().unwrap_or_default());
        "stands there twice"
    } else {
        "has another JSON type"
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(Code::InvalidBody, format!("a member {detail}, {place}")).at(pointer, detail)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    let said = error.to_string();
    if said.contains("surrogate") || said.contains("end of hex escape") {
        let detail = format!("a text holds a lone surrogate, {place}");
        return Problem::new(Code::Unacceptable, detail);
    }
    Problem::new(
        Code::MalformedJson,
        format!("the body is not JSON, {place}"),
    )
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |text, segment| {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => "?".to_owned(),
        };
        format!("{text}/{step}")
    })
}
