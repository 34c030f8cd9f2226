//! Authentication settings of a PACS (`auth_config`) or an AI model (`endpoint_config.auth`). Credentials are
//! write-only: they go from the body to the stored secrets, never into the log.

use std::borrow::Cow;
use std::fmt;

use roentgen_domain::auth_kind::AuthKind;
use roentgen_domain::text::Text;
use roentgen_store::secrets::SecretBytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::openapi::values;
use crate::validation::{BodyValidator, JsonObject, is_blank};

/// Authentication settings. Write-only: responses contain only `kind`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthConfigBody {
    kind: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
    name: Option<String>,
    value: Option<String>,
}

impl ToSchema for AuthConfigBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("AuthConfig")
    }
}

/// One alternative for each kind, with the members that the kind requires.
impl PartialSchema for AuthConfigBody {
    fn schema() -> RefOr<Schema> {
        let alternative = |kind: &AuthKind| {
            let object = ObjectBuilder::new()
                .property("kind", values::one_of(&[kind]))
                .required("kind")
                .additional_properties(Some(AdditionalProperties::FreeForm(false)));
            let members = members_of(*kind).iter();
            members.fold(object, |object, member| {
                let value = if *member == "name" {
                    values::header_name()
                } else {
                    values::header_text()
                };
                object.property(*member, value).required(*member)
            })
        };
        let alternatives = AuthKind::ALL.iter().map(alternative);
        let schema = alternatives.fold(OneOfBuilder::new(), OneOfBuilder::item);
        let text = "Authentication settings. Write-only: responses contain only `kind`.";
        schema.description(Some(text)).into()
    }
}

impl fmt::Debug for AuthConfigBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthConfigBody([secret])")
    }
}

/// Validated authentication settings with credentials.
#[derive(Debug)]
pub(crate) struct ParsedAuth {
    /// Authentication scheme.
    pub(crate) kind: AuthKind,
    /// Credentials as an object of the kind's members; `None` for kind `none`.
    pub(crate) secret: Option<SecretBytes>,
}

/// Returns the members that a kind requires.
const fn members_of(kind: AuthKind) -> &'static [&'static str] {
    match kind {
        AuthKind::None => &[],
        AuthKind::Basic => &["username", "password"],
        AuthKind::Bearer => &["token"],
        AuthKind::Header => &["name", "value"],
    }
}

impl BodyValidator {
    /// Validates an `auth_config` at `pointer`. Each kind requires its own members and accepts no others.
    pub(crate) fn auth_config(
        &mut self,
        pointer: &str,
        member: Option<JsonObject<AuthConfigBody>>,
    ) -> Option<ParsedAuth> {
        let JsonObject(body) = member?;
        let at = |name: &str| format!("{pointer}/{name}");
        let kind = self.required(&at("kind"), body.kind);
        let kind = self.enum_value(&at("kind"), kind, AuthKind::parse, AuthKind::NAMES)?;
        let given = [
            ("username", body.username),
            ("password", body.password),
            ("token", body.token),
            ("name", body.name),
            ("value", body.value),
        ];
        let needed = members_of(kind);
        let mut secret = Map::new();
        for (name, value) in given {
            let at = at(name);
            if !needed.contains(&name) {
                if value.is_some_and(|text| !is_blank(&text)) {
                    self.push_error(&at, format!("not allowed for kind {kind}"));
                }
                continue;
            }
            let value = self.required(&at, value);
            let value = self.parse(&at, value, |text| header_safe(name, text));
            secret.extend(value.map(|text| (name.to_owned(), Value::String(text))));
        }
        let secret = serde_json::to_vec(&secret).unwrap_or_default();
        Some(ParsedAuth {
            kind,
            secret: (!needed.is_empty()).then(|| SecretBytes::new(secret)),
        })
    }
}

/// Validates text that will be sent in an HTTP header (RFC 9110, section 5.5).
fn header_safe(name: &str, text: String) -> Result<String, String> {
    let text = Text::parse(text).map_err(|error| error.to_string())?;
    if text.as_str().chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    if name == "name" && http::HeaderName::from_bytes(text.as_str().as_bytes()).is_err() {
        return Err("must be a valid HTTP header name".to_owned());
    }
    Ok(text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;
    use serde_json::json;

    fn parsed(body: Value) -> Result<ParsedAuth, Problem> {
        let mut fields = BodyValidator::default();
        let body: AuthConfigBody = serde_json::from_value(body).unwrap();
        let auth = fields.auth_config("/auth_config", Some(JsonObject(body)));
        fields.finish(auth)
    }

    #[test]
    fn each_kind_takes_its_own_members_and_no_other() {
        let good = [
            json!({"kind": "none"}),
            json!({"kind": "BASIC", "username": "u", "password": "p"}),
            json!({"kind": "bearer", "token": "t"}),
            json!({"kind": "header", "name": "X-Key", "value": "v"}),
        ];
        for body in good {
            assert!(parsed(body.clone()).is_ok(), "{body}");
        }
        let bad = [
            json!({}),
            json!({"kind": "digest"}),
            json!({"kind": "none", "token": "t"}),
            json!({"kind": "basic", "username": "u"}),
            json!({"kind": "bearer", "token": "t", "password": "p"}),
            json!({"kind": "bearer", "token": " "}),
            json!({"kind": "header", "name": "X Key", "value": "v"}),
            json!({"kind": "header", "name": "X-Key", "value": "a\nb"}),
        ];
        for body in bad {
            assert!(parsed(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn what_it_takes_is_kept_whole_and_never_printed() {
        let auth =
            parsed(json!({"kind": "basic", "username": "u", "password": "hunter2"})).unwrap();
        let secret = auth.secret.as_ref().unwrap().expose();
        let kept: Value = serde_json::from_slice(secret).unwrap();
        assert_eq!(kept, json!({"username": "u", "password": "hunter2"}));
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
