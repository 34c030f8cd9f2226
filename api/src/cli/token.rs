//! `roentgen token`: prints a bearer token.

use std::process::ExitCode;
use std::time::Duration;

use uuid::Uuid;

use crate::authorization::Role;
use crate::config::Config;
use crate::identity::{DEFAULT_TENANT, TokenGrant, mint};

/// Prints the token as the last line of standard output.
pub(super) fn run(
    config: &Config,
    roles: Vec<Role>,
    tenant: Option<Uuid>,
    practitioner: Option<Uuid>,
    ttl: Duration,
) -> anyhow::Result<ExitCode> {
    let of_no_tenant = tenant.is_none() && roles == [Role::Operator];
    let tenant = if of_no_tenant {
        None
    } else {
        Some(tenant.unwrap_or(DEFAULT_TENANT))
    };
    let grant = TokenGrant {
        roles,
        tenant,
        practitioner,
        ttl,
    };
    println!("{}", mint(config.jwt_secret()?, &config.expected, &grant)?);
    Ok(ExitCode::SUCCESS)
}
