//! Demo users, each with a role and a token.

use std::time::Duration;

use uuid::Uuid;

use crate::authorization::Role;
use crate::config::Config;
use crate::identity::{TokenGrant, mint};

/// Lifetime of the tokens; longer than the demo.
const TTL: Duration = Duration::from_secs(3600);

/// Person or service.
#[derive(Debug)]
pub(super) struct DemoUser {
    pub(super) name: &'static str,
    pub(super) token: String,
}

/// All demo users.
#[derive(Debug)]
pub(super) struct DemoUsers {
    pub(super) tenant: Uuid,
    pub(super) admin: DemoUser,
    pub(super) clinician: DemoUser,
    pub(super) gateway: DemoUser,
    pub(super) model: DemoUser,
    pub(super) radiologist: DemoUser,
    pub(super) colleague: DemoUser,
    pub(super) auditor: DemoUser,
}

/// The practitioner behind [`DemoUsers::radiologist`].
pub(super) const RADIOLOGIST: Uuid = Uuid::from_u128(0xd0c_0001);
/// The practitioner behind [`DemoUsers::colleague`].
pub(super) const COLLEAGUE: Uuid = Uuid::from_u128(0xd0c_0002);
/// The practitioner behind [`DemoUsers::clinician`].
pub(super) const CLINICIAN: Uuid = Uuid::from_u128(0xd0c_0003);

impl DemoUsers {
    /// Creates tokens for all users of the tenant.
    pub(super) fn create(config: &Config, tenant: Uuid) -> anyhow::Result<Self> {
        let actor = |name, role, practitioner| {
            let grant = TokenGrant {
                roles: vec![role],
                tenant: Some(tenant),
                practitioner,
                ttl: TTL,
            };
            let token = mint(config.jwt_secret()?, &config.expected, &grant)?;
            anyhow::Ok(DemoUser { name, token })
        };
        Ok(Self {
            tenant,
            admin: actor("admin", Role::Admin, None)?,
            clinician: actor("clinician", Role::Clinician, Some(CLINICIAN))?,
            gateway: actor("PACS gateway", Role::Integration, None)?,
            model: actor("AI worker", Role::AiWorker, None)?,
            radiologist: actor("radiologist", Role::Radiologist, Some(RADIOLOGIST))?,
            colleague: actor("second radiologist", Role::Radiologist, Some(COLLEAGUE))?,
            auditor: actor("auditor", Role::Auditor, None)?,
        })
    }
}
