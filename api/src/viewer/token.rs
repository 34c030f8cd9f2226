//! Viewer tokens: JSON Web Tokens (RFC 7519), signed with a separate key that is not used for callers' tokens.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use roentgen_domain::dicom::Uid;
use roentgen_domain::ids::{PractitionerId, StudyId, TenantId, ViewerTokenId};
use roentgen_domain::{Actor, Timestamp};
use roentgen_store::clock;
use roentgen_store::keys::MasterKey;
use roentgen_store::weighed::WeightedLru;
use serde::{Deserialize, Serialize};

use crate::identity::Caller;

/// `aud` of every viewer token.
const AUDIENCE: &str = "roentgen-viewer";
/// Maximum size of the cache of used tokens of all tenants, in bytes: about 15,000 tokens.
const BUDGET: usize = 4 * 1024 * 1024;

/// Tokens whose first use is recorded. Tenants share the cache; the use of an evicted token is recorded once more.
type UsedTokens = WeightedLru<TenantId, ViewerTokenId, ()>;

/// Signs and verifies viewer tokens, and caches which tokens were used on this node.
pub(crate) struct ViewerTokens {
    signing: EncodingKey,
    opening: DecodingKey,
    validation: Validation,
    lifetime: Duration,
    used: Mutex<UsedTokens>,
}

impl fmt::Debug for ViewerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewerTokens")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Holder of a token, with the study that the token is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenSubject {
    sub: String,
    tenant_id: TenantId,
    study_id: StudyId,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    practitioner_id: Option<PractitionerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl TokenSubject {
    pub(super) fn new(caller: &Caller, tenant_id: TenantId, study_id: StudyId) -> Self {
        let actor = caller.actor();
        Self {
            sub: actor.sub,
            tenant_id,
            study_id,
            roles: actor.roles,
            practitioner_id: actor.practitioner_id,
            name: actor.name,
        }
    }
}

/// Claims of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ViewerToken {
    aud: String,
    /// Seconds since the Unix epoch.
    exp: i64,
    jti: ViewerTokenId,
    study_instance_uid: Uid,
    #[serde(flatten)]
    holder: TokenSubject,
}

impl ViewerToken {
    pub(super) const fn id(&self) -> ViewerTokenId {
        self.jti
    }

    pub(super) const fn study_id(&self) -> StudyId {
        self.holder.study_id
    }

    pub(super) const fn tenant(&self) -> TenantId {
        self.holder.tenant_id
    }

    pub(super) const fn study_instance_uid(&self) -> &Uid {
        &self.study_instance_uid
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000)).unwrap_or(Timestamp::EPOCH)
    }

    /// Returns the caller who launched the viewer as the actor of each use.
    pub(super) fn actor(&self) -> Actor {
        let holder = self.holder.clone();
        Actor {
            sub: holder.sub,
            practitioner_id: holder.practitioner_id,
            roles: holder.roles,
            name: holder.name,
        }
    }
}

impl ViewerTokens {
    /// Creates the signer of tokens with this lifetime; its key is derived from the master key.
    pub(crate) fn new(master: &MasterKey, lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.leeway = 0;
        Self {
            signing: EncodingKey::from_secret(master.viewer_key()),
            opening: DecodingKey::from_secret(master.viewer_key()),
            validation,
            lifetime,
            used: Mutex::new(WeightedLru::new(BUDGET)),
        }
    }

    /// Creates a token.
    pub(super) fn fresh(&self, holder: TokenSubject, study: &Uid) -> ViewerToken {
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        ViewerToken {
            aud: AUDIENCE.to_owned(),
            exp: clock::now_ms() / 1000 + lifetime,
            jti: clock::fresh_id().into(),
            study_instance_uid: study.clone(),
            holder,
        }
    }

    pub(super) fn sign(&self, token: &ViewerToken) -> Result<String, Error> {
        encode(&Header::new(Algorithm::HS256), token, &self.signing)
    }

    /// Returns the token if it was signed with this key and has not expired.
    pub(super) fn open(&self, text: &str) -> Option<ViewerToken> {
        let opened = decode::<ViewerToken>(text, &self.opening, &self.validation);
        opened.ok().map(|data| data.claims)
    }

    /// Returns whether this node has recorded the first use of the token.
    pub(super) fn was_used(&self, token: &ViewerToken) -> bool {
        self.used().get(token.tenant(), &token.jti).is_some()
    }

    /// Caches that the first use of the token is recorded.
    pub(super) fn note_use(&self, token: &ViewerToken) {
        let bytes = size_of::<ViewerTokenId>();
        self.used().put(token.tenant(), token.jti, (), bytes);
    }

    fn used(&self) -> MutexGuard<'_, UsedTokens> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn tokens(lifetime: u64) -> ViewerTokens {
        let master = MasterKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        ViewerTokens::new(&master, Duration::from_secs(lifetime))
    }

    fn holder() -> TokenSubject {
        TokenSubject {
            sub: "dr-roe".to_owned(),
            tenant_id: Uuid::from_u128(1).into(),
            study_id: Uuid::from_u128(2).into(),
            roles: vec!["radiologist".to_owned()],
            practitioner_id: None,
            name: None,
        }
    }

    fn study() -> Uid {
        Uid::parse("1.2.3").unwrap()
    }

    #[test]
    fn a_token_opens_where_it_was_signed() {
        let tokens = tokens(600);
        let token = tokens.fresh(holder(), &study());
        let opened = tokens.open(&tokens.sign(&token).unwrap()).unwrap();
        assert_eq!((opened.id(), opened.tenant()), (token.id(), token.tenant()));
        assert_eq!(opened.study_instance_uid(), &study());
        assert_eq!(opened.actor().sub, "dr-roe");
    }

    #[test]
    fn one_that_ran_out_or_was_signed_elsewhere_does_not() {
        let tokens = tokens(600);
        let mut old = tokens.fresh(holder(), &study());
        old.exp -= 601;
        assert!(tokens.open(&tokens.sign(&old).unwrap()).is_none());

        let master = MasterKey::parse(&MasterKey::generate()).unwrap();
        let elsewhere = ViewerTokens::new(&master, Duration::from_secs(600));
        let token = elsewhere.fresh(holder(), &study());
        assert!(tokens.open(&elsewhere.sign(&token).unwrap()).is_none());
        let mut other = tokens.fresh(holder(), &study());
        other.aud = "roentgen".to_owned();
        assert!(tokens.open(&tokens.sign(&other).unwrap()).is_none());
    }

    #[test]
    fn what_is_remembered_of_uses_is_bounded_and_tenants_share_it() {
        let tokens = tokens(600);
        let of_tenant = |tenant: u128| {
            let tenant_id = Uuid::from_u128(tenant).into();
            let holder = TokenSubject {
                tenant_id,
                ..holder()
            };
            tokens.fresh(holder, &study())
        };
        let own = of_tenant(1);
        let first = of_tenant(2);
        tokens.note_use(&own);
        tokens.note_use(&first);
        for _ in 0..20_000 {
            tokens.note_use(&of_tenant(2));
        }
        assert!(tokens.used().weight() <= BUDGET);
        assert!(!tokens.was_used(&first), "the oldest of the heaviest goes");
        assert!(tokens.was_used(&own), "another tenant's stays");
    }
}
