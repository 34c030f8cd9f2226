//! A request that says everything in its path.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use uuid::Uuid;

use super::arrived;
use super::body::{check_media_type, members};
use crate::app::App;
use crate::fields;
use crate::identity::Caller;
use crate::params::Query;
use crate::problem::{Code, Problem};

/// Nothing stands in its query or body, but for the caller's own `tenant_id`.
#[derive(Debug)]
pub(crate) struct Bare;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {
    #[serde(default, deserialize_with = "fields::optional_id")]
    tenant_id: Option<Uuid>,
}

impl FromRequest<App> for Bare {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>();
        let caller = caller.ok_or_else(|| Problem::new(Code::Unauthenticated, "no caller"))?;
        Query::of(parts.uri.query(), caller)?.finish()?;
        check_media_type(&parts, &body)?;
        let body = arrived(app, &parts, caller.tenant, body).await?;
        if !body.is_empty() {
            caller.owns(members::<Nothing>(&body)?.tenant_id)?;
        }
        Ok(Self)
    }
}
