//! Configuration from flags, then `ROENTGEN_` environment variables, then defaults; validated completely before any
//! port is bound. All errors are reported together.

mod connections;
mod dev;
mod dev_keys;
mod environment;
mod event_key;
mod keys;
mod nats;
mod secret_file;
mod secrets;
mod timeouts;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use roentgen_relay as relay;
use roentgen_store::database::DatabaseUrl;
use roentgen_store::keys::MasterKey;
use roentgen_store::projection::Projection;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use crate::identity::{TokenRequirements, TokenVerifier};
use crate::routes::ApiService;

pub use connections::ConnectionOptions;
pub use dev::Dev;
pub(crate) use dev::Purpose;
pub(crate) use event_key::EventKeyFile;
use keys::KeySource;
pub use keys::KeySources;
pub use nats::NatsOptions;
pub use secrets::SecretOptions;
pub use timeouts::{TimeoutOptions, Timeouts};

use connections::PerAddress;

/// Options of every command.
#[derive(Args, Clone)]
pub struct Options {
    /// Database URL: sqlite://PATH or postgres://...
    #[arg(
        long,
        env = "ROENTGEN_DATABASE",
        default_value = "sqlite://data/roentgen.db",
        global = true,
        hide_env_values = true
    )]
    pub database: String,
    /// Address to listen on.
    #[arg(
        long,
        env = "ROENTGEN_LISTEN",
        default_value = "127.0.0.1:8030",
        global = true
    )]
    pub listen: String,
    /// Run in development mode: loopback only, generated keys, no token required; default if no production setting is
    /// given.
    #[arg(long, env = "ROENTGEN_DEV", global = true)]
    pub dev: bool,
    /// Do not apply migrations on start.
    #[arg(long, env = "ROENTGEN_NO_MIGRATE", global = true)]
    pub no_migrate: bool,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretOptions,
    /// Required `iss` claim.
    #[arg(long, env = "ROENTGEN_JWT_ISSUER", global = true)]
    pub jwt_issuer: Option<String>,
    /// Required `aud` claim.
    #[arg(long, env = "ROENTGEN_JWT_AUDIENCE", global = true)]
    pub jwt_audience: Option<String>,
    /// Accept tokens with any or no `aud`; if other services share the secret, their tokens are accepted, too.
    #[arg(long, env = "ROENTGEN_ANY_AUDIENCE", global = true)]
    pub any_audience: bool,
    /// Serve /metrics without a token; always on in --dev.
    #[arg(long, env = "ROENTGEN_OPEN_METRICS", global = true)]
    pub open_metrics: bool,
    /// API services to serve, comma-separated.
    #[arg(
        long,
        env = "ROENTGEN_SERVICES",
        value_delimiter = ',',
        default_values_t = ApiService::value_variants().to_vec(),
        value_enum,
        global = true
    )]
    pub services: Vec<ApiService>,
    /// Connection limits.
    #[command(flatten)]
    pub connections: ConnectionOptions,
    /// Timeouts.
    #[command(flatten)]
    pub times: TimeoutOptions,
    /// NATS relay.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// Log filter in RUST_LOG syntax.
    #[arg(long, env = "ROENTGEN_LOG", default_value = "info", global = true)]
    pub log: String,
}

/// Prints no values: the database URL may contain a password, and the keys are secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

type Note<'a> = &'a mut dyn FnMut(&str, &dyn fmt::Display);

/// Effective configuration.
#[derive(Debug)]
pub struct Config {
    /// Database that holds the log.
    pub database: DatabaseUrl,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Whether callers without a token are accepted as admin.
    pub dev: Dev,
    /// Whether to apply migrations on start.
    pub migrate: bool,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// API services to serve, comma-separated.
    pub services: Vec<ApiService>,
    /// Secret that signs and verifies tokens; present for every command that does so.
    pub jwt_secret: Option<SecretString>,
    /// Further requirements on tokens.
    pub expected: TokenRequirements,
    /// Key that wraps patient keys; present for every command that serves.
    pub master_key: Option<MasterKey>,
    /// Connection limits per address.
    pub(crate) connections: PerAddress,
    /// Timeouts.
    pub times: Timeouts,
    /// Settings of the NATS relay, if any.
    pub nats: Option<relay::Settings>,
    /// File with the key that signs published events.
    pub(crate) event_key: EventKeyFile,
    /// Source of each key, shown by `roentgen config`.
    pub sources: KeySources,
    /// Log filter.
    pub log: EnvFilter,
    /// Read models of this release.
    pub projections: Projections,
}

/// Constructor of a release's read models.
pub type Projections = fn() -> Vec<Arc<dyn Projection>>;

/// All errors in the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Options {
    /// Resolves and validates the configuration, or returns all errors. In `--dev`, missing keys are generated and
    /// stored in the data directory.
    pub(crate) fn resolve(&self, purpose: Purpose) -> Result<Config, ConfigErrors> {
        let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
        let mut wrong = environment::unknown(names.iter().map(OsString::as_os_str));
        let mut note =
            |name: &str, what: &dyn fmt::Display| wrong.push(format!("--{name}: {what}"));
        let dev = self.decide_dev(purpose, &mut note);
        let database = DatabaseUrl::parse(&self.database)
            .map_err(|error| note("database", &error))
            .ok();
        let listen = self.listen.parse::<SocketAddr>();
        let listen = listen
            .map_err(|_| note("listen", &"must be ADDRESS:PORT"))
            .ok();
        let log = EnvFilter::builder()
            .parse(&self.log)
            .map_err(|error| note("log", &error))
            .ok();
        let connections = self.connections.resolve(&mut note);
        let times = self.times.resolve(&mut note);
        let nats = self.nats.resolve(&mut note);
        let given = self.secrets.resolve(&mut note);
        let event_key_file = self.nats.event_key_file.as_deref();
        let directory = database.as_ref().map(data_directory);
        let event_key = EventKeyFile::new(event_key_file, directory.as_deref(), dev.is_on());
        if purpose == Purpose::Serving {
            self.check_serving(dev, listen, &mut note);
            if let (Some(_), Some(event_key)) = (&self.nats.nats, &event_key) {
                event_key.check(&mut note);
            }
        }
        let (Some(database), Some(listen), Some(log), Some(times), Some(connections)) =
            (database, listen, log, times, connections)
        else {
            return Err(ConfigErrors(wrong));
        };
        let (Some(directory), Some(event_key), true) = (directory, event_key, wrong.is_empty())
        else {
            return Err(ConfigErrors(wrong));
        };
        let (jwt_secret, master_key, sources) = keys::keys(given, purpose, &directory)?;
        Ok(Config {
            database,
            listen,
            dev,
            migrate: !self.no_migrate,
            metrics_open: self.open_metrics || dev.is_on(),
            services: self.services.clone(),
            jwt_secret,
            master_key,
            connections,
            times,
            nats,
            event_key,
            sources,
            expected: TokenRequirements {
                issuer: self.jwt_issuer.clone(),
                audience: self.jwt_audience.clone(),
            },
            log,
            projections: roentgen_projections::all,
        })
    }

    /// Decides whether dev mode is on. A tool accepts no callers, so a missing JWT secret is no error for it.
    fn decide_dev(&self, purpose: Purpose, note: Note<'_>) -> Dev {
        match (Dev::from_options(self), purpose) {
            (Ok(dev), _) => dev,
            (Err(_), Purpose::Tool) => Dev::Off,
            (Err(given), Purpose::Serving | Purpose::Token) => {
                note(
                    "jwt-secret",
                    &format_args!(
                        "is needed with {given}; or say --dev, which lets callers in without a token"
                    ),
                );
                Dev::Off
            }
        }
    }

    fn check_serving(&self, dev: Dev, listen: Option<SocketAddr>, note: Note<'_>) {
        if dev.is_on() {
            if listen.is_some_and(|address| !address.ip().is_loopback()) {
                note(
                    "listen",
                    &"must be a loopback address in --dev and without --jwt-secret",
                );
            }
            return;
        }
        if !self.secrets.has_master_key() {
            note("master-key", &"is required outside --dev");
        }
        match (&self.jwt_audience, self.any_audience) {
            (None, false) => note(
                "jwt-audience",
                &"is required outside --dev; --any-audience takes tokens that were made for others, too",
            ),
            (Some(_), true) => note("any-audience", &"cannot be given with --jwt-audience"),
            (Some(_), false) | (None, true) => {}
        }
    }
}

/// Returns the data directory: the SQLite file's directory, else `data/` in the working directory.
fn data_directory(database: &DatabaseUrl) -> PathBuf {
    match database {
        DatabaseUrl::Sqlite(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
        DatabaseUrl::Postgres(_) => PathBuf::from("data"),
    }
}

impl Config {
    /// Applies the demo's settings: all services, no tokens, loopback, and a free port with `once`.
    pub(crate) fn apply_demo_defaults(&mut self, once: bool) {
        self.dev = Dev::Explicit;
        self.services = ApiService::value_variants().to_vec();
        if once || !self.listen.ip().is_loopback() {
            self.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        }
    }

    /// Returns whether the master key was configured, not generated.
    pub(crate) fn master_key_is_given(&self) -> bool {
        self.sources.master_key == KeySource::Configured
    }

    /// Returns the secret that signs tokens.
    ///
    /// # Errors
    ///
    /// The configuration was resolved for a command that neither signs nor verifies tokens.
    pub(crate) fn jwt_secret(&self) -> anyhow::Result<&SecretString> {
        self.jwt_secret
            .as_ref()
            .context("no JWT secret is configured")
    }

    /// Returns the key that wraps patient keys.
    ///
    /// # Errors
    ///
    /// The configuration was resolved for a command that does not serve.
    pub(crate) fn master_key(&self) -> anyhow::Result<&MasterKey> {
        self.master_key
            .as_ref()
            .context("no master key is configured")
    }

    /// Returns the verifier of bearer tokens.
    ///
    /// # Errors
    ///
    /// As [`Self::jwt_secret`].
    pub(crate) fn identity(&self) -> anyhow::Result<TokenVerifier> {
        let secret = self.jwt_secret()?;
        Ok(TokenVerifier::with_shared_secret(
            secret,
            &self.expected,
            self.dev.is_on(),
        ))
    }
}

/// Prints the configuration for `roentgen config`, with the source of each secret instead of its value.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "(any)".to_owned();
        writeln!(f, "database      {}", self.database)?;
        writeln!(f, "listen        {}", self.listen)?;
        writeln!(f, "dev           {}", self.dev.is_on())?;
        writeln!(f, "migrate       {}", self.migrate)?;
        writeln!(f, "open-metrics  {}", self.metrics_open)?;
        let services = self
            .services
            .iter()
            .filter_map(ApiService::to_possible_value);
        let services: Vec<_> = services.map(|value| value.get_name().to_owned()).collect();
        writeln!(f, "services      {}", services.join(","))?;
        writeln!(f, "jwt-secret    {}", self.sources.jwt_secret)?;
        writeln!(
            f,
            "jwt-issuer    {}",
            self.expected.issuer.clone().unwrap_or_else(none)
        )?;
        writeln!(
            f,
            "jwt-audience  {}",
            self.expected.audience.clone().unwrap_or_else(none)
        )?;
        writeln!(f, "master-key    {}", self.sources.master_key)?;
        write!(f, "{}", self.connections)?;
        write!(f, "{}", self.times)?;
        nats::write_config(f, self.nats.as_ref())?;
        if self.nats.is_some() {
            writeln!(f, "event-key     {}", self.event_key)?;
        }
        write!(f, "log           {}", self.log)
    }
}
