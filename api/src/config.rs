//! Configuration: flags, then `ROENTGEN_` environment, then defaults; checked whole, and all that is wrong named at once,
//! before any port is bound.

mod connections;
mod event_key;
mod generated;
mod nats;
mod secret_file;
mod times;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum as _};
use roentgen_relay as relay;
use roentgen_store::keys::{MasterKey, WEAK, is_weak};
use roentgen_store::open::Database;
use roentgen_store::projector::Projection;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

use crate::identity::{Expected, Identity};
use crate::routes::Service;

pub use connections::ConnectionOptions;
pub(crate) use event_key::EventKeyFile;
pub use nats::NatsOptions;
pub use times::{TimeOptions, Times};

use connections::PerAddress;

/// The shortest shared secret, in bytes: as long as the digest it keys (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// What every command takes.
#[derive(Args, Clone)]
pub struct Options {
    /// Where the log is: sqlite://PATH or postgres://...
    #[arg(
        long,
        env = "ROENTGEN_DATABASE",
        default_value = "sqlite://data/roentgen.db",
        global = true,
        hide_env_values = true
    )]
    pub database: String,
    /// Where to listen.
    #[arg(
        long,
        env = "ROENTGEN_LISTEN",
        default_value = "127.0.0.1:8030",
        global = true
    )]
    pub listen: String,
    /// Loopback only, keys made up, and no token needed; the default where no key is configured.
    #[arg(long, env = "ROENTGEN_DEV", global = true)]
    pub dev: bool,
    /// Leave the schema as it is.
    #[arg(long, env = "ROENTGEN_NO_MIGRATE", global = true)]
    pub no_migrate: bool,
    /// The shared secret that tokens are signed with (HS256), 32 bytes or more.
    #[arg(
        long,
        env = "ROENTGEN_JWT_SECRET",
        global = true,
        hide_env_values = true
    )]
    pub jwt_secret: Option<SecretString>,
    /// The `iss` that tokens must have.
    #[arg(long, env = "ROENTGEN_JWT_ISSUER", global = true)]
    pub jwt_issuer: Option<String>,
    /// The `aud` that tokens must have.
    #[arg(long, env = "ROENTGEN_JWT_AUDIENCE", global = true)]
    pub jwt_audience: Option<String>,
    /// The key that wraps patients' keys: 32 bytes, base64.
    #[arg(
        long,
        env = "ROENTGEN_MASTER_KEY",
        global = true,
        hide_env_values = true
    )]
    pub master_key: Option<SecretString>,
    /// Show /metrics without a token; so it is in --dev.
    #[arg(long, env = "ROENTGEN_OPEN_METRICS", global = true)]
    pub open_metrics: bool,
    /// The parts of the API to serve.
    #[arg(
        long,
        env = "ROENTGEN_SERVICES",
        value_delimiter = ',',
        default_values_t = Service::value_variants().to_vec(),
        value_enum,
        global = true
    )]
    pub services: Vec<Service>,
    /// How many connections there may be.
    #[command(flatten)]
    pub connections: ConnectionOptions,
    /// How long things may take.
    #[command(flatten)]
    pub times: TimeOptions,
    /// Where events go.
    #[command(flatten)]
    pub nats: NatsOptions,
    /// What is logged, in RUST_LOG's form.
    #[arg(long, env = "ROENTGEN_LOG", default_value = "info", global = true)]
    pub log: String,
}

/// The database's URL may hold a password, and the keys are secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// The configuration in force.
#[derive(Debug)]
pub struct Config {
    /// Where the log is.
    pub database: Database,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether callers without a token are let in as admin.
    pub dev: bool,
    /// Whether to migrate at start.
    pub migrate: bool,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// The parts of the API to serve.
    pub services: Vec<Service>,
    /// Signs and checks tokens.
    pub jwt_secret: SecretString,
    /// What tokens must say besides.
    pub expected: Expected,
    /// Wraps patients' keys.
    pub master_key: MasterKey,
    /// How many connections there may be from one address.
    pub(crate) connections: PerAddress,
    /// How long things may take.
    pub times: Times,
    /// Where events go, if anywhere.
    pub nats: Option<relay::Settings>,
    /// The key that signs those events.
    pub(crate) event_key: EventKeyFile,
    /// Where each key came from, for `roentgen config`.
    pub sources: Sources,
    /// What is logged.
    pub log: EnvFilter,
    /// The read models of this release.
    pub projections: Projections,
}

/// The read models of a release.
pub type Projections = fn() -> Vec<Arc<dyn Projection>>;

/// Where the keys came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources {
    jwt_secret: Source,
    master_key: Source,
}

/// Where one key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Configured,
    Generated,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(pub Vec<String>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Wrong {}

/// What is wrong with a secret that signs tokens, if anything is.
fn weakness(secret: &SecretString) -> Option<String> {
    let secret = secret.expose_secret().as_bytes();
    if secret.len() < MIN_SECRET_BYTES {
        Some("must be 32 bytes or more".to_owned())
    } else if is_weak(secret) {
        Some(format!("is weak: {WEAK}"))
    } else {
        None
    }
}

impl Options {
    /// The configuration, or everything that is wrong with it. In `--dev`, keys that are not given are generated and
    /// kept in the data directory.
    pub fn resolve(&self) -> Result<Config, Wrong> {
        let mut wrong = Vec::new();
        let mut note =
            |name: &str, what: &dyn fmt::Display| wrong.push(format!("--{name}: {what}"));
        let dev = self.dev || self.jwt_secret.is_none();
        let database = Database::parse(&self.database)
            .map_err(|it| note("database", &it))
            .ok();
        let listen = self.listen.parse::<SocketAddr>();
        let listen = listen
            .map_err(|_| note("listen", &"must be ADDRESS:PORT"))
            .ok();
        let log = EnvFilter::builder()
            .parse(&self.log)
            .map_err(|it| note("log", &it))
            .ok();
        let connections = self.connections.resolve(&mut note);
        let times = self.times.resolve(&mut note);
        let nats = self.nats.resolve(&mut note);
        if let Some(what) = self.jwt_secret.as_ref().and_then(weakness) {
            note("jwt-secret", &what);
        }
        if dev && listen.is_some_and(|it| !it.ip().is_loopback()) {
            note(
                "listen",
                &"must be a loopback address without --jwt-secret, and with --dev",
            );
        }
        if !dev && self.master_key.is_none() {
            note("master-key", &"is needed outside --dev");
        }
        let given = self
            .master_key
            .as_ref()
            .map(|it| MasterKey::parse(it.expose_secret()));
        let given = given
            .transpose()
            .map_err(|it| note("master-key", &it))
            .ok()
            .flatten();
        let (Some(database), Some(listen), Some(log), Some(times), Some(connections), true) =
            (database, listen, log, times, connections, wrong.is_empty())
        else {
            return Err(Wrong(wrong));
        };
        let directory = data_directory(&database);
        let keys = self.keys(given, &directory)?;
        let event_key_file = self.nats.event_key_file.as_deref();
        Ok(Config {
            database,
            listen,
            dev,
            migrate: !self.no_migrate,
            metrics_open: self.open_metrics || dev,
            services: self.services.clone(),
            jwt_secret: keys.0,
            master_key: keys.1,
            connections,
            times,
            nats,
            event_key: EventKeyFile::new(event_key_file, &directory, dev),
            sources: keys.2,
            expected: Expected {
                issuer: self.jwt_issuer.clone(),
                audience: self.jwt_audience.clone(),
            },
            log,
            projections: roentgen_projections::all,
        })
    }

    fn keys(
        &self,
        master_key: Option<MasterKey>,
        directory: &std::path::Path,
    ) -> Result<(SecretString, MasterKey, Sources), Wrong> {
        let kept = |name: &str| {
            generated::kept(&directory.join(name))
                .map_err(|it| Wrong(vec![format!("{name} in {}: {it}", directory.display())]))
        };
        let (jwt_secret, of_secret) = match &self.jwt_secret {
            Some(secret) => (secret.clone(), Source::Configured),
            None => (kept("dev-jwt-secret")?, Source::Generated),
        };
        let (master_key, of_master) = match master_key {
            Some(key) => (key, Source::Configured),
            None => {
                let text = kept("dev-master-key")?;
                let key = MasterKey::parse(text.expose_secret());
                (
                    key.map_err(|it| Wrong(vec![it.to_string()]))?,
                    Source::Generated,
                )
            }
        };
        Ok((
            jwt_secret,
            master_key,
            Sources {
                jwt_secret: of_secret,
                master_key: of_master,
            },
        ))
    }
}

/// Beside the SQLite file; `data/` under the working directory otherwise.
fn data_directory(database: &Database) -> PathBuf {
    match database {
        Database::Sqlite(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
        Database::Postgres(_) => PathBuf::from("data"),
    }
}

impl Config {
    /// For the demo: all services, callers without tokens, on loopback, and on a free port where it does not serve on.
    pub(crate) fn play(&mut self, once: bool) {
        self.dev = true;
        self.services = Service::value_variants().to_vec();
        if once || !self.listen.ip().is_loopback() {
            self.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        }
    }

    /// Whether the master key was configured, and not made up.
    pub(crate) fn master_key_is_given(&self) -> bool {
        self.sources.master_key == Source::Configured
    }

    /// Checks callers' tokens.
    pub fn identity(&self) -> Identity {
        Identity::by_secret(&self.jwt_secret, &self.expected, self.dev)
    }
}

/// The configuration as `roentgen config` shows it: secrets by their source only.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |it: Source| match it {
            Source::Configured => "[configured]",
            Source::Generated => "[generated, kept in the data directory]",
        };
        let none = || "(any)".to_owned();
        writeln!(f, "database      {}", self.database)?;
        writeln!(f, "listen        {}", self.listen)?;
        writeln!(f, "dev           {}", self.dev)?;
        writeln!(f, "migrate       {}", self.migrate)?;
        writeln!(f, "open-metrics  {}", self.metrics_open)?;
        let services = self.services.iter().filter_map(Service::to_possible_value);
        let services: Vec<_> = services.map(|it| it.get_name().to_owned()).collect();
        writeln!(f, "services      {}", services.join(","))?;
        writeln!(f, "jwt-secret    {}", said(self.sources.jwt_secret))?;
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
        writeln!(f, "master-key    {}", said(self.sources.master_key))?;
        write!(f, "{}", self.connections)?;
        write!(f, "{}", self.times)?;
        nats::show(f, self.nats.as_ref())?;
        write!(f, "log           {}", self.log)
    }
}
