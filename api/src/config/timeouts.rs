//! Configurable timeouts, such as `90s`, `15m`, `8h`, `7d`.

use std::fmt;
use std::time::Duration;

use clap::Args;

use crate::cli::parse_duration;

/// Timeout flags.
#[derive(Args, Debug, Clone)]
pub struct TimeoutOptions {
    /// Idle time after which a claimed case is released.
    #[arg(
        long,
        env = "ROENTGEN_CLAIM_TIMEOUT",
        default_value = "30m",
        global = true
    )]
    pub claim_timeout: String,
    /// Time allowed to communicate a critical result.
    #[arg(
        long,
        env = "ROENTGEN_CRITICAL_DEADLINE",
        default_value = "60m",
        global = true
    )]
    pub critical_deadline: String,
    /// Lifetime of viewer tokens.
    #[arg(
        long,
        env = "ROENTGEN_VIEWER_TOKEN_TTL",
        default_value = "10m",
        global = true
    )]
    pub viewer_token_ttl: String,
}

/// Effective timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Idle time after which a claimed case is released.
    pub claim_timeout: Duration,
    /// Time allowed to communicate a critical result.
    pub critical_deadline: Duration,
    /// Lifetime of viewer tokens.
    pub viewer_token_ttl: Duration,
}

impl TimeoutOptions {
    /// Validates all flags and reports each error.
    pub(super) fn resolve(
        &self,
        note: &mut impl FnMut(&str, &dyn fmt::Display),
    ) -> Option<Timeouts> {
        let mut parse = |name: &str, text: &str| {
            let parsed = parse_duration(text);
            parsed.map_err(|error| note(name, &error)).ok()
        };
        let claim_timeout = parse("claim-timeout", &self.claim_timeout);
        let critical_deadline = parse("critical-deadline", &self.critical_deadline);
        let viewer_token_ttl = parse("viewer-token-ttl", &self.viewer_token_ttl);
        Some(Timeouts {
            claim_timeout: claim_timeout?,
            critical_deadline: critical_deadline?,
            viewer_token_ttl: viewer_token_ttl?,
        })
    }
}

/// Prints the lines of `roentgen config`.
impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "claim-timeout {:?}", self.claim_timeout)?;
        writeln!(f, "critical-deadline {:?}", self.critical_deadline)?;
        writeln!(f, "viewer-token-ttl {:?}", self.viewer_token_ttl)
    }
}
