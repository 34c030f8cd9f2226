//! `endpoint_config`: where a model answers. What it takes to be let in there is put away before the command.

use roentgen_domain::ai_model::{EndpointAuth, EndpointConfig, MaxAttempts, TimeoutMs};
use roentgen_domain::ids::TenantId;
use roentgen_domain::url::HttpUrl;
use roentgen_store::secrets::SecretBytes;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth_config::AuthConfigBody;
use crate::fields::{Fields, Object};
use crate::problem::Problem;

/// Where a model answers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AiEndpoint)]
pub(crate) struct EndpointBody {
    /// http or https, without user and password.
    #[schema(required, value_type = String)]
    url: Option<String>,
    /// How to be let in; never answered.
    #[schema(value_type = Option<AuthConfigBody>)]
    auth: Option<Object<AuthConfigBody>>,
    /// 1 to 3600000.
    timeout_ms: Option<i64>,
    /// 1 to 100.
    max_attempts: Option<i64>,
}

/// Where a model answers, and the secret that is still to be put away.
#[derive(Debug)]
pub(super) struct Endpoint {
    config: EndpointConfig,
    secret: Option<SecretBytes>,
}

impl EndpointBody {
    pub(super) fn check(self, at: &str, fields: &mut Fields) -> Option<Endpoint> {
        let url_at = format!("{at}/url");
        let url = fields.required(&url_at, self.url);
        let url = fields.parse(&url_at, url, |it| HttpUrl::parse(&it));
        let timeout_ms = fields.parse(
            &format!("{at}/timeout_ms"),
            self.timeout_ms,
            TimeoutMs::parse,
        );
        let max_attempts = fields.parse(
            &format!("{at}/max_attempts"),
            self.max_attempts,
            MaxAttempts::parse,
        );
        let auth = fields.auth_config(&format!("{at}/auth"), self.auth);
        let (kind, secret) = auth.map(|it| (it.kind, it.secret)).unzip();
        Some(Endpoint {
            config: EndpointConfig {
                url: url?,
                auth: kind.map(|kind| EndpointAuth {
                    kind,
                    secret_id: None,
                }),
                timeout_ms,
                max_attempts,
            },
            secret: secret.flatten(),
        })
    }
}

/// Puts the secret away, so that the event names it by its id alone. Where the command is then refused it stays, and
/// nobody knows whose it would have been.
pub(super) async fn keep(
    app: &App,
    tenant: TenantId,
    endpoint: Endpoint,
) -> Result<EndpointConfig, Problem> {
    let Endpoint { mut config, secret } = endpoint;
    if let (Some(auth), Some(secret)) = (config.auth.as_mut(), secret) {
        auth.secret_id = Some(app.store.secrets.put(tenant, &secret).await?);
    }
    Ok(config)
}
