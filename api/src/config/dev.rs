//! Whether callers without a token are let in.

use super::Options;

/// What a command needs of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To answer callers: the keys, or `--dev`.
    Serving,
    /// To sign a token: the JWT secret, or `--dev`.
    Token,
    /// To look after the database: no JWT secret.
    Tool,
}

/// How it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dev {
    /// Every caller needs a token.
    Off,
    /// Nothing says that this is more than a trial.
    Implicit,
    /// It was asked for.
    Explicit,
}

impl Dev {
    /// Whether callers without a token are let in.
    pub const fn is_on(self) -> bool {
        match self {
            Self::Off => false,
            Self::Implicit | Self::Explicit => true,
        }
    }

    /// Decides by what is configured: without a JWT secret and without `--dev`, a setting that belongs to production
    /// says that the secret was forgotten.
    ///
    /// # Errors
    ///
    /// The flags of those settings.
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
