//! `endpoint_config`: where a model answers. What it takes to be let in there is put away before the command.

use std::fmt;

use roentgen_domain::ai_model::{
    AuthKind, EndpointAuth, EndpointConfig, EndpointUrl, MaxAttempts, TimeoutMs,
};
use roentgen_domain::ids::TenantId;
use roentgen_store::secrets::SecretBytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
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
    #[schema(value_type = Option<AuthBody>)]
    auth: Option<Object<AuthBody>>,
    /// 1 to 3600000.
    timeout_ms: Option<i64>,
    /// 1 to 100.
    max_attempts: Option<i64>,
}

/// How to be let in.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AiEndpointAuth)]
pub(crate) struct AuthBody {
    /// none, basic, bearer or header.
    #[schema(required, value_type = String)]
    kind: Option<String>,
    /// With basic.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// With basic.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// With bearer.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// With header: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// With header: its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl fmt::Debug for AuthBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
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
        let url = fields.parse(&url_at, url, |it| EndpointUrl::parse(&it));
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
        let auth = self
            .auth
            .map(|Object(it)| it.check(&format!("{at}/auth"), fields));
        let (kind, secret) = auth.flatten().unzip();
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

impl AuthBody {
    /// The kind, and the members that go with it as JSON: present, and no others.
    fn check(self, at: &str, fields: &mut Fields) -> Option<(AuthKind, Option<SecretBytes>)> {
        let kind_at = format!("{at}/kind");
        let kind = fields.required(&kind_at, self.kind.clone());
        let kind = fields.word(&kind_at, kind, AuthKind::parse, AuthKind::WORDS)?;
        let needed: &[&str] = match kind {
            AuthKind::None => &[],
            AuthKind::Basic => &["username", "password"],
            AuthKind::Bearer => &["token"],
            AuthKind::Header => &["name", "value"],
        };
        let members = [
            ("username", &self.username),
            ("password", &self.password),
            ("token", &self.token),
            ("name", &self.name),
            ("value", &self.value),
        ];
        for (name, member) in members {
            let pointer = format!("{at}/{name}");
            match (needed.contains(&name), member) {
                (true, None) => fields.wrong(&pointer, "is required"),
                (true, Some(_)) => drop(fields.text(&pointer, member.clone())),
                (false, Some(_)) => fields.wrong(&pointer, "does not go with this kind"),
                (false, None) => {}
            }
        }
        let secret = serde_json::to_vec(&self).ok().map(SecretBytes::new);
        Some((kind, secret.filter(|_| !needed.is_empty())))
    }
}

/// Puts the secret away, so that the event names it by its id alone. Where the command is then refused it stays, and
/// nobody knows whose it would have been.
pub(super) async fn keep(
    app: &App,
    tenant: TenantId,
    endpoint: Option<Endpoint>,
) -> Result<Option<EndpointConfig>, Problem> {
    let Some(Endpoint { mut config, secret }) = endpoint else {
        return Ok(None);
    };
    if let (Some(auth), Some(secret)) = (config.auth.as_mut(), secret) {
        auth.secret_id = Some(app.store.secrets.put(tenant, &secret).await?);
    }
    Ok(Some(config))
}
