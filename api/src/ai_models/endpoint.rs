//! `endpoint_config`: the inference endpoint of an AI model. Its secret is stored before the command is executed.

use std::borrow::Cow;

use roentgen_domain::Change;
use roentgen_domain::ai_model::{EndpointAuth, EndpointPatch, MaxAttempts, TimeoutMs};
use roentgen_domain::ids::TenantId;
use roentgen_domain::url::HttpUrl;
use roentgen_store::secrets::SecretBytes;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::app::App;
use crate::auth_config::AuthConfigBody;
use crate::openapi::values;
use crate::problem::Problem;
use crate::validation::{self, BodyValidator, JsonObject};

/// Inference endpoint of an AI model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AiEndpoint)]
pub(crate) struct EndpointBody {
    /// http or https URL without user and password; required if the model has no endpoint yet.
    #[serde(default)]
    #[schema(value_type = values::HttpUrl, required = false)]
    url: Change<String>,
    /// Authentication settings, replaced as a whole; secrets are never returned.
    #[serde(default)]
    #[schema(value_type = Option<AuthConfigBody>)]
    auth: Change<JsonObject<AuthConfigBody>>,
    /// Timeout in milliseconds, 1 to 3600000.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = Option<values::CallTimeoutMs>)]
    timeout_ms: Change<i64>,
    /// Maximum number of attempts, 1 to 100.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = Option<values::MaxAttempts>)]
    max_attempts: Change<i64>,
}

/// Endpoint of a new model: as that of a change, and with a URL.
pub(crate) struct NewEndpoint;

impl PartialSchema for NewEndpoint {
    fn schema() -> RefOr<Schema> {
        let mut schema = EndpointBody::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.push("url".to_owned());
        }
        schema
    }
}

impl ToSchema for NewEndpoint {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NewAiEndpoint")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        EndpointBody::schemas(schemas);
    }
}

/// Changes to an endpoint, with the secret that is still to be stored.
#[derive(Debug)]
pub(super) struct Endpoint {
    patch: EndpointPatch,
    secret: Option<SecretBytes>,
}

impl EndpointBody {
    /// Returns whether the URL is given. A change may leave the stored URL as it is.
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

/// Stores the secret, so that the event names only its id. If the command is then rejected, the secret remains stored
/// without any reference to it.
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
