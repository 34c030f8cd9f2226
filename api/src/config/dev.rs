//! Decides whether callers without a token are accepted (`--dev`).

use super::Options;

/// Purpose of a command, which decides the required configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Serves requests: requires the keys, or `--dev`.
    Serving,
    /// Signs a token: requires the JWT secret, or `--dev`.
    Token,
    /// Maintains the database: requires no JWT secret.
    Tool,
}

/// State of dev mode and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dev {
    /// Every caller needs a token.
    Off,
    /// No token required, because no setting for production is given.
    Implicit,
    /// No token required, because `--dev` is given.
    Explicit,
}

impl Dev {
    /// Returns whether callers without a token are accepted.
    pub const fn is_on(self) -> bool {
        match self {
            Self::Off => false,
            Self::Implicit | Self::Explicit => true,
        }
    }

    /// Decides from the given options. Without a JWT secret and `--dev`, a setting for production means that the secret
    /// was forgotten.
    ///
    /// # Errors
    ///
    /// The flags of those settings, comma-separated.
    pub(super) fn from_options(options: &Options) -> Result<Self, String> {
        if options.dev {
            return Ok(Self::Explicit);
        }
        if options.secrets.has_jwt_secret() {
            return Ok(Self::Off);
        }
        let production = [
            ("--master-key", options.secrets.has_master_key()),
            (
                "--database postgres://",
                options.database.starts_with("postgres"),
            ),
            ("--nats", options.nats.nats.is_some()),
            ("--jwt-issuer", options.jwt_issuer.is_some()),
            (
                "--jwt-audience",
                options.jwt_audience.is_some() || options.any_audience,
            ),
        ];
        let given = production.iter().filter(|(_, is_given)| *is_given);
        let given: Vec<&str> = given.map(|(flag, _)| *flag).collect();
        if given.is_empty() {
            return Ok(Self::Implicit);
        }
        Err(given.join(", "))
    }
}
