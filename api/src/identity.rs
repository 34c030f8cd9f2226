//! Authentication of callers: bearer JSON Web Tokens (RFC 7519), verified with one pinned key and algorithm.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use roentgen_domain::Actor;
use roentgen_domain::ids::{PractitionerId, TenantId};
use roentgen_store::clock;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::authorization::{Permission, Role};
use crate::problem::{Problem, ProblemCode};

/// Tenant of `--dev` callers that name none.
pub const DEFAULT_TENANT: Uuid = Uuid::from_u128(1);
/// Tolerated clock difference to the token issuer, in seconds.
const LEEWAY_SECS: u64 = 30;
const TENANT_HEADER: &str = "x-tenant-id";
/// Maximum length of subject and name, in characters.
const LONGEST_TEXT: usize = 255;

/// Authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Subject of the token.
    pub sub: String,
    /// Tenant of the caller; `None` for operators.
    pub tenant: Option<TenantId>,
    /// Effective roles of the caller.
    pub roles: Vec<Role>,
    /// The practitioner behind the token.
    pub practitioner_id: Option<PractitionerId>,
    /// Display name.
    pub name: Option<String>,
    /// Expiry of the token in seconds since the Unix epoch; `None` for a `--dev` caller without a token.
    pub expires: Option<i64>,
}

impl Caller {
    /// Returns the caller's tenant.
    ///
    /// # Errors
    ///
    /// 403 if the token has none.
    pub fn tenant(&self) -> Result<TenantId, Problem> {
        self.tenant
            .ok_or_else(|| Problem::new(ProblemCode::Forbidden, "token has no tenant_id"))
    }

    /// Returns the caller's practitioner.
    ///
    /// # Errors
    ///
    /// 403 if the token has none.
    pub fn practitioner(&self) -> Result<PractitionerId, Problem> {
        self.practitioner_id
            .ok_or_else(|| Problem::new(ProblemCode::Forbidden, "token has no practitioner_id"))
    }

    /// Checks that one of the caller's roles grants the permission.
    ///
    /// # Errors
    ///
    /// 403 if none does.
    pub fn require(&self, capability: Permission) -> Result<(), Problem> {
        if capability.is_granted_to(&self.roles) {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode::Forbidden,
            "none of the token's roles grants this permission",
        ))
    }

    /// Checks a `tenant_id` in body or query against the caller's tenant.
    ///
    /// # Errors
    ///
    /// 403 `other_tenant` if it differs.
    pub fn require_tenant(&self, named: Option<Uuid>) -> Result<(), Problem> {
        let own = self.tenant.map(TenantId::as_uuid);
        if named.is_none() || named == own {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode::OtherTenant,
            "tenant_id does not match the token",
        ))
    }

    /// Returns the time from which the token is rejected, on this process's clock.
    pub fn ends(&self) -> Option<Instant> {
        let last_second = self.expires?.saturating_add(LEEWAY_SECS.cast_signed());
        let ends = last_second.saturating_add(1).saturating_mul(1000);
        let left = ends.saturating_sub(clock::now_ms());
        Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Returns the actor as stored in the log.
    pub fn actor(&self) -> Actor {
        Actor {
            sub: self.sub.clone(),
            practitioner_id: self.practitioner_id,
            roles: self.roles.iter().map(ToString::to_string).collect(),
            name: self.name.clone(),
        }
    }

    fn dev_admin(tenant: TenantId) -> Self {
        Self {
            sub: "dev-admin".to_owned(),
            tenant: Some(tenant),
            roles: vec![Role::Admin],
            practitioner_id: None,
            name: None,
            expires: None,
        }
    }
}

/// Claims read from a token; `nbf`, `iss` and `aud` are checked by the validation.
#[derive(Debug, Deserialize)]
struct JwtClaims {
    sub: String,
    exp: f64,
    tenant_id: Option<Uuid>,
    #[serde(default)]
    roles: Vec<String>,
    practitioner_id: Option<Uuid>,
    name: Option<String>,
}

/// Claims written to a token.
#[derive(Debug, Serialize)]
struct MintedClaims<'a> {
    sub: String,
    exp: i64,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    practitioner_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Verifier of tokens; in `--dev`, also accepts requests without one.
#[derive(Clone)]
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    dev: bool,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

/// Further requirements on tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenRequirements {
    /// Required `iss` claim, if any.
    pub issuer: Option<String>,
    /// Required `aud` claim, if any.
    pub audience: Option<String>,
}

impl TokenVerifier {
    /// Creates a verifier of tokens signed with a shared secret (HS256).
    pub fn with_shared_secret(
        secret: &SecretString,
        expected: &TokenRequirements,
        dev: bool,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        let mut required = vec!["exp", "sub"];
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECS;
        if let Some(issuer) = &expected.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &expected.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self {
            key,
            validation,
            dev,
        }
    }

    /// Returns whether callers without a token are accepted.
    pub(crate) const fn is_dev(&self) -> bool {
        self.dev
    }

    /// Identifies the caller of a request by its headers. A token, if sent, is always verified.
    ///
    /// # Errors
    ///
    /// 401 without a valid token (in `--dev`, only with an invalid one), 400 for a malformed `X-Tenant-Id`.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        match headers.get(AUTHORIZATION) {
            Some(value) => {
                let token = value.to_str().ok().and_then(bearer);
                self.by_token(token.ok_or_else(unauthenticated)?)
            }
            None if self.dev => Ok(Caller::dev_admin(tenant_from_header(headers)?)),
            None => Err(Problem::new(
                ProblemCode::Unauthenticated,
                "bearer token required",
            )),
        }
    }

    fn by_token(&self, token: &str) -> Result<Caller, Problem> {
        let decoded = decode::<JwtClaims>(token, &self.key, &self.validation);
        let decoded = decoded.map_err(|_| unauthenticated())?;
        // A token with a critical extension is rejected (RFC 7515, section 4.1.11): this release supports none.
        if decoded.header.crit.is_some() {
            return Err(unauthenticated());
        }
        let claims = decoded.claims;
        let tenant = claims.tenant_id.map(TenantId::from);
        let known = claims.roles.iter().filter_map(|name| role(name));
        let roles = effective_roles(known, tenant);
        let is_bounded = is_subject(&claims.sub) && claims.name.as_deref().is_none_or(is_line);
        if !is_bounded || tenant.is_none() && roles.is_empty() {
            return Err(unauthenticated());
        }
        Ok(Caller {
            sub: claims.sub,
            tenant,
            roles,
            practitioner_id: claims.practitioner_id.map(PractitionerId::from),
            name: claims.name,
            expires: Some(claims.exp as i64),
        })
    }
}

/// Returns the effective roles without duplicates. Without a tenant, only the operator role counts, since any other
/// role would reach into every tenant. With a tenant, any role but operator counts: operators belong to no tenant.
fn effective_roles(known: impl Iterator<Item = Role>, tenant: Option<TenantId>) -> Vec<Role> {
    let mut roles = Vec::new();
    for role in known {
        if (role == Role::Operator) == tenant.is_none() && !roles.contains(&role) {
            roles.push(role);
        }
    }
    roles
}

/// Parses a role name. Names in tokens are case-sensitive.
fn role(name: &str) -> Option<Role> {
    Role::parse(name).filter(|role| role.to_string() == name)
}

/// Returns whether a token may have this subject. The audit trail repeats the subject in every event of the caller, and
/// must not confuse the caller with the system.
fn is_subject(sub: &str) -> bool {
    is_line(sub) && !sub.is_empty() && sub != Actor::SYSTEM && sub.trim() == sub
}

/// Returns whether a text is short enough and on one line: every event of the caller repeats it.
fn is_line(text: &str) -> bool {
    let length = text.chars().take(LONGEST_TEXT + 1).count();
    length <= LONGEST_TEXT && !text.chars().any(char::is_control)
}

/// Returns the token of an `Authorization: Bearer` header.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthenticated() -> Problem {
    Problem::new(ProblemCode::Unauthenticated, "invalid bearer token")
}

fn tenant_from_header(headers: &HeaderMap) -> Result<TenantId, Problem> {
    let Some(value) = headers.get(TENANT_HEADER) else {
        return Ok(DEFAULT_TENANT.into());
    };
    let tenant = value
        .to_str()
        .ok()
        .and_then(|text| Uuid::parse_str(text).ok());
    let named = tenant.map(TenantId::from);
    named.ok_or_else(|| Problem::new(ProblemCode::InvalidHeader, "X-Tenant-Id must be a UUID"))
}

/// Claims of a new token.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    /// Roles of the token.
    pub roles: Vec<Role>,
    /// Tenant of the token; `None` for operators.
    pub tenant: Option<Uuid>,
    /// Practitioner behind the token.
    pub practitioner: Option<Uuid>,
    /// Lifetime of the token.
    pub ttl: Duration,
}

/// Creates a token that [`TokenVerifier::with_shared_secret`] with the same secret accepts.
///
/// # Errors
///
/// The signer's error.
pub fn mint(
    secret: &SecretString,
    expected: &TokenRequirements,
    grant: &TokenGrant,
) -> Result<String, jsonwebtoken::errors::Error> {
    let ttl = i64::try_from(grant.ttl.as_secs()).unwrap_or(i64::MAX / 2);
    let roles: Vec<String> = grant.roles.iter().map(ToString::to_string).collect();
    let claims = MintedClaims {
        sub: grant
            .practitioner
            .map_or_else(|| roles.join("+"), |id| id.to_string()),
        exp: clock::now_ms() / 1000 + ttl,
        tenant_id: grant.tenant,
        roles,
        practitioner_id: grant.practitioner,
        iss: expected.issuer.as_deref(),
        aud: expected.audience.as_deref(),
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
}
