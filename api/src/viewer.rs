//! Viewer: launch for a study, and verification of viewer tokens for a proxy.

mod token;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use roentgen_commands::study::{LaunchViewer, RecordViewerTokenUse};
use roentgen_domain::dicom::Uid;
use roentgen_domain::pacs_endpoint::{PacsEndpoint, ViewerLaunchUrl};
use roentgen_domain::study::Study;
use roentgen_domain::{Aggregate, Timestamp, Versioned};
use roentgen_store::loader::{self, AsOf};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use token::ViewerTokens;
use token::{TokenSubject, ViewerToken};

use crate::answers::EffectHappened;
use crate::app::App;
use crate::command_request::{CommandRequest, correlation_id, json};
use crate::identity::bearer;
use crate::openapi::values;
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use crate::read_request::PathId;

/// Viewer URL and token for a study.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewerLaunch {
    /// Study.
    study_id: Uuid,
    /// Viewer URL.
    viewer_url: String,
    /// Token bound to the study, tenant and caller.
    viewer_token: String,
    /// Token expiry.
    #[schema(value_type = values::Time)]
    expires_at: Timestamp,
}

/// Returns a viewer URL and a token for a study's images. Records the launch in the audit trail.
#[utoipa::path(get, path = "/pacs/studies/{id}/viewer-launch",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ViewerLaunch)))]
pub(crate) async fn launch(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let study = load_or_404::<Study>(&app, &call, id).await?;
    let details = &study.state.details;
    let endpoint = details.pacs_endpoint_id.as_uuid();
    let endpoint = load_or_404::<PacsEndpoint>(&app, &call, endpoint).await?;
    let template = endpoint
        .state
        .viewer_launch_url
        .ok_or_else(not_configured)?;
    let holder = TokenSubject::new(&call.caller, call.tenant, id.into());
    let token = app.viewer_tokens.fresh(holder, &details.study_instance_uid);
    let launched = LaunchViewer {
        study_id: id.into(),
        token_id: token.id(),
    };
    call.execute(&app, &launched).await?;
    launch_response(&app, &template, token, id)
}

fn not_configured() -> Problem {
    let detail = "the study's PACS endpoint has no viewer_launch_url";
    Problem::new(ProblemCode::ViewerNotConfigured, detail)
}

fn launch_response(
    app: &App,
    template: &ViewerLaunchUrl,
    token: ViewerToken,
    id: Uuid,
) -> Result<Response, Problem> {
    let study = token.study_instance_uid().clone();
    let expires_at = token.expires_at();
    let signed = app.viewer_tokens.sign(&token);
    let signed = signed.map_err(|error| Problem::internal(&error))?;
    let launch = ViewerLaunch {
        study_id: id,
        viewer_url: template.render(&study, &signed),
        viewer_token: signed,
        expires_at,
    };
    let body = serde_json::to_string(&launch).unwrap_or_default();
    let mut response = json(StatusCode::OK, body);
    response.extensions_mut().insert(EffectHappened);
    Ok(response)
}

/// Folds an aggregate from its stream, or returns 404 if the tenant has none with this id.
async fn load_or_404<A: Aggregate>(
    app: &App,
    call: &CommandRequest,
    id: Uuid,
) -> Result<Versioned<A>, Problem> {
    let reads = app.reads(call.tenant);
    let keyring = &app.store.keyring;
    let loaded = loader::load::<A>(&reads, keyring, id.into(), AsOf::Now).await?;
    loaded.ok_or_else(Problem::not_found)
}

/// Authorises a viewer token for a study, for use by a reverse proxy in front of the PACS (nginx `auth_request`).
/// Returns 204 if allowed, 401 if the token is missing, invalid or expired, and 403 if it was issued for another study
/// or tenant. The token is sent as bearer token or as `token`; prefer the header, because URLs are kept in logs and
/// histories. The first use of a token is recorded in the audit trail.
#[utoipa::path(get, path = "/pacs/viewer-tokens/verify",
    params(("study_instance_uid" = values::Uid, Query), ("token" = Option<String>, Query),
        ("tenant_id" = Option<Uuid>, Query)),
    responses((status = 204), (status = 401), (status = 403)))]
pub(crate) async fn verify(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let mut query = StrictQuery::open(request.uri().query())?;
    let given = query.take("token")?;
    let study = query.take_parsed("study_instance_uid", Uid::parse)?;
    let tenant = query.take_uuid::<Uuid>("tenant_id")?;
    query.finish()?;
    let given = given.or_else(|| by_header(request.headers()));
    let token = given.and_then(|text| app.viewer_tokens.open(&text));
    let token = token.ok_or_else(unauthenticated)?;
    let study = study.ok_or_else(|| Problem::parameter("study_instance_uid", "is required"))?;
    if *token.study_instance_uid() != study {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "token was issued for another study",
        ));
    }
    if tenant.is_some_and(|tenant| tenant != token.tenant().as_uuid()) {
        return Err(Problem::new(
            ProblemCode::OtherTenant,
            "token was issued for another tenant",
        ));
    }
    note_first_use(&app, &token, request.headers()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn by_header(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    bearer(value).map(str::to_owned)
}

fn unauthenticated() -> Problem {
    Problem::new(ProblemCode::Unauthenticated, "valid viewer token required")
}

/// Records the first use of a token in the log before any image is shown. A viewer sends thousands of requests, so this
/// node does not look up a use again that it has recorded.
async fn note_first_use(
    app: &App,
    token: &ViewerToken,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if app.viewer_tokens.was_used(token) {
        return Ok(());
    }
    let request = roentgen_commands::CommandEnvelope {
        tenant_id: token.tenant(),
        actor: token.actor(),
        correlation_id: correlation_id(headers)?,
        causation_id: None,
        if_match: None,
        idempotency: None,
    };
    let used = RecordViewerTokenUse {
        study_id: token.study_id(),
        token_id: token.id(),
    };
    app.executor.execute(&request, &used).await?;
    app.viewer_tokens.note_use(token);
    Ok(())
}
