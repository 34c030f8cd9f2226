//! Request without body and query, determined by its path.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use uuid::Uuid;

use super::arrived;
use super::body::{check_media_type, is_absent, parse_json};
use crate::app::App;
use crate::identity::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use crate::validation;

/// Empty request; only the caller's `tenant_id` may be given in the query or body.
#[derive(Debug)]
pub(crate) struct EmptyRequest;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantOnly {
    #[serde(default, deserialize_with = "validation::optional_id")]
    tenant_id: Option<Uuid>,
}

impl FromRequest<App> for EmptyRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>();
        let caller = caller
            .ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "authentication required"))?;
        StrictQuery::parse(parts.uri.query(), caller)?.finish()?;
        check_media_type(&parts, &body)?;
        let body = arrived(app, &parts, caller.tenant, body).await?;
        if !is_absent(&body) {
            caller.require_tenant(parse_json::<TenantOnly>(&body)?.tenant_id)?;
        }
        Ok(Self)
    }
}
