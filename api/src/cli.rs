//! Command line of `roentgen` (contract, section 8).

mod archive;
mod export;
mod progress_line;
mod projections;
mod rebuild;
mod serve;
mod token;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use roentgen_store::database::DatabaseUrl;
use roentgen_store::engine::Engine;
use roentgen_store::rights::Login;
use uuid::Uuid;

use crate::authorization::Role;
use crate::config::{Config, ConfigErrors, Options, Projections, Purpose};
use crate::{demo, dumps, telemetry};
use roentgen_store::error::error_chain;

pub(crate) use serve::start;

/// `EX_USAGE` of sysexits.h: the command line or the configuration is wrong.
const EX_USAGE: u8 = 64;
/// `EX_SOFTWARE` of sysexits.h: the command failed. Exit code 1 is reserved for negative results, as of `verify`.
const EX_SOFTWARE: u8 = 70;

/// System of record for diagnostic imaging workflows.
#[derive(Debug, Parser)]
#[command(name = "roentgen", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the API server. Applies migrations on start unless --no-migrate; on SIGTERM drains requests and exits 0.
    Serve,
    /// Start a server, run a sample workflow through its HTTP API, print each step and the resulting events, then keep
    /// serving.
    Demo {
        /// Exit after the workflow.
        #[arg(long)]
        once: bool,
    },
    /// Print a bearer token accepted by servers with this configuration.
    Token {
        /// Role to grant; repeatable.
        #[arg(long = "role", required = true, value_parser = parse_role)]
        roles: Vec<Role>,
        /// Tenant of the token; defaults to the dev tenant, none for the operator role.
        #[arg(long)]
        tenant: Option<Uuid>,
        /// Practitioner id to embed.
        #[arg(long)]
        practitioner: Option<Uuid>,
        /// Time to live, for example 90s, 15m, 8h or 7d.
        #[arg(long, default_value = "8h", value_parser = parse_duration)]
        ttl: Duration,
    },
    /// Apply pending schema migrations.
    Migrate,
    /// Verify the hash chain and the patient keys; exit 1 if the chain is broken or a key is missing.
    Verify(verify::Verifying),
    /// Move old log partitions into Parquet files (PostgreSQL only; run as the database owner).
    Archive(archive::ArchiveArgs),
    /// Show checkpoint, lag and parked streams of each projection.
    Projections,
    /// Rebuild read models in the background and swap them in when complete.
    Rebuild(rebuild::RebuildArgs),
    /// Export the log, or events after a position, for DuckDB, pandas or Spark. PHI stays encrypted.
    Export(export::ExportArgs),
    /// Print the public key for verifying published events.
    EventKey {
        /// Generate the key if it does not exist.
        #[arg(long)]
        make: bool,
    },
    /// Print the effective configuration without secrets.
    Config,
}

impl Command {
    fn purpose(&self) -> Purpose {
        match self {
            Self::Serve | Self::Demo { .. } | Self::Config => Purpose::Serving,
            Self::Token { .. } => Purpose::Token,
            Self::Migrate
            | Self::Verify(_)
            | Self::Archive(_)
            | Self::Projections
            | Self::Rebuild(_)
            | Self::Export(_)
            | Self::EventKey { .. } => Purpose::Tool,
        }
    }
}

/// Runs one command with the read models of this release.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_with_projections(arguments, roentgen_projections::all).await
}

/// Runs one command with the given read models.
pub async fn run_with_projections(
    arguments: impl IntoIterator<Item = OsString>,
    projections: Projections,
) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                EX_USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let config = match cli.options.resolve(cli.command.purpose()) {
        Ok(config) => Config {
            projections,
            ..config
        },
        Err(wrong) => return refuse(&wrong),
    };
    telemetry::log(config.log.clone());
    if let Err(error) = dumps::forbid() {
        tracing::warn!(
            event = "process.dumps_not_forbidden",
            %error,
            "core dumps are not forbidden",
        );
    }
    match dispatch(cli.command, config).await {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<ConfigErrors>() {
            Some(wrong) => refuse(wrong),
            None => {
                eprintln!("roentgen: {}", error_chain(&*error));
                ExitCode::from(EX_SOFTWARE)
            }
        },
    }
}

fn refuse(wrong: &ConfigErrors) -> ExitCode {
    for line in &wrong.0 {
        eprintln!("roentgen: {line}");
    }
    EX_USAGE.into()
}

async fn dispatch(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve::run(config).await,
        Command::Demo { once } => demo::run(config, once).await,
        Command::Token {
            roles,
            tenant,
            practitioner,
            ttl,
        } => token::run(&config, roles, tenant, practitioner, ttl),
        Command::Migrate => {
            migrate(&*config.database.connect().await?).await?;
            println!("schema of {} is up to date", config.database);
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(verifying) => {
            verify::run(open_existing(&config).await?, &config, &verifying).await
        }
        Command::Archive(archiving) => {
            archive::run(&*open_existing(&config).await?, &archiving).await
        }
        Command::Projections => {
            projections::run(open_existing(&config).await?, (config.projections)()).await
        }
        Command::Rebuild(rebuild) => {
            rebuild::run(
                open_existing(&config).await?,
                (config.projections)(),
                &rebuild,
            )
            .await
        }
        Command::Export(export) => export::run(&*open_existing(&config).await?, &export).await,
        Command::EventKey { make } => {
            let key = if make {
                config.event_key.made()
            } else {
                config.event_key.read()
            };
            print!("{}", key?.public_pem());
            Ok(ExitCode::SUCCESS)
        }
        Command::Config => {
            println!("{config}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Opens an existing database. Commands that only read must not create one.
async fn open_existing(config: &Config) -> anyhow::Result<Arc<dyn Engine>> {
    if let DatabaseUrl::Sqlite(path) = &config.database {
        anyhow::ensure!(path.exists(), "no database at {}", path.display());
    }
    Ok(config.database.connect().await?)
}

/// Opens a database with an up-to-date schema.
async fn open_migrated(config: &Config) -> anyhow::Result<Arc<dyn Engine>> {
    let engine = config.database.connect().await?;
    if config.migrate {
        migrate(&*engine).await?;
    }
    Ok(engine)
}

/// Applies migrations, which run with the owner's rights and must not execute code of other roles.
async fn migrate(engine: &dyn Engine) -> anyhow::Result<()> {
    engine.rights(Login::Owner).await?.check()?;
    Ok(engine.migrate().await?)
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("must be one of {}", Role::NAMES))
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refused = || "must be a duration such as 90s, 15m, 8h or 7d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(refused)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(refused)
}
