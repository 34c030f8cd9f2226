//! `endpoint_config`: where a model answers. What it takes to be let in there is put away before the command.

use roentgen_domain::Change;
use roentgen_domain::ai_model::{EndpointAuth, EndpointPatch, MaxAttempts, TimeoutMs};
use roentgen_domain::ids::TenantId;
use roentgen_domain::url::HttpUrl;
use roentgen_store::secrets::SecretBytes;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth_config::AuthConfigBody;
use crate::problem::Problem;
use crate::validation::{BodyValidator, JsonObject};

/// Inference endpoint of a model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AiEndpoint)]
pub(crate) struct EndpointBody {
    /// http or https, without user and password; required where there is none yet.
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    url: Change<String>,
    /// How to be let in, as a whole; what it takes is never answered.
    #[serde(default)]
    #[schema(value_type = Option<AuthConfigBody>)]
    auth: Change<JsonObject<AuthConfigBody>>,
    /// 1 to 3600000.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    timeout_ms: Change<i64>,
    /// 1 to 100.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    max_attempts: Change<i64>,
}

/// What changes of where a model answers, and the secret that is still to be put away.
#[derive(Debug)]
pub(super) struct Endpoint {
    patch: EndpointPatch,
    secret: Option<SecretBytes>,
}

impl EndpointBody {
    /// Whether it says where a new model answers: a change may leave that as it is.
    pub(super) fn has_url(&self) -> bool {
        matches!(self.url, Change::Set(_))
    }

    pub(super) fn check(self, at: &str, fields: &mut BodyValidator) -> Endpoint {
        let url_at = format!("{at}/url");
        let url = fields.kept(&url_at, self.url);
        let url = fields.parse(&url_at, url, |text| HttpUrl::parse(&text));
        let timeout_at = format!("{at}/timeout_ms");
        let attempts_at = format!("{at}/max_attempts");
        let auth_at = format!("{at}/auth");
        let auth = match self.auth {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(body) => fields.auth_config(&auth_at, Some(body)).into(),
        };
        let patch = EndpointPatch {
            url,
            auth: auth.as_ref().map(|auth| EndpointAuth {
                kind: auth.kind,
                secret_id: None,
            }),
            timeout_ms: fields.change(&timeout_at, self.timeout_ms, TimeoutMs::parse),
            max_attempts: fields.change(&attempts_at, self.max_attempts, MaxAttempts::parse),
        };
        let secret = auth.value().and_then(|auth| auth.secret);
        Endpoint { patch, secret }
    }
}

/// Puts the secret away, so that the event names it by its id alone. Where the command is then refused it stays, and
/// nobody knows whose it would have been.
pub(super) async fn store_secret(
    app: &App,
    tenant: TenantId,
    endpoint: Endpoint,
) -> Result<EndpointPatch, Problem> {
    let Endpoint { mut patch, secret } = endpoint;
    if let (Change::Set(auth), Some(secret)) = (&mut patch.auth, secret) {
        auth.secret_id = Some(app.store.secrets.put(tenant, &secret).await?);
    }
    Ok(patch)
}
