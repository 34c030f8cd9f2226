//! `roentgen serve`: starts and stops the server.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roentgen_commands::policies::PolicySettings;
use roentgen_relay::EventKey;
use roentgen_store::engine::{Engine, KeyStore};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::rights::Login;

use crate::app::{App, AppParts, LogConsumers};
use crate::config::{Config, ConfigErrors, Dev};
use crate::serve::{HttpListener, Limits, connections_that_fit, shutdown_signal};
use crate::{routes, telemetry};

/// Maximum time on shutdown for the current batch and the projectors.
const FLUSH: Duration = Duration::from_secs(10);

/// Server running in this process.
#[derive(Debug)]
pub(crate) struct Running {
    /// Address on which the server listens.
    pub(crate) address: SocketAddr,
    /// Components of the server.
    pub(crate) app: App,
    tasks: BackgroundTasks,
    serving: BackgroundTasks,
}

/// Applies migrations, starts all components and binds the port.
pub(crate) async fn start(config: &Config) -> anyhow::Result<Running> {
    let limits = Limits {
        connections: connections_that_fit(),
        per_address: config.connections.limit,
        trusted: config.connections.trusted.clone(),
    };
    let event_key = config.nats.as_ref().map(|_| config.event_key.read());
    let event_key = event_key.transpose()?;
    let engine = super::open_migrated(config)
        .await
        .context("cannot open database")?;
    check_rights(&*engine).await?;
    check_tokens(&*engine, config.dev).await?;
    if let Some(key) = &event_key {
        check_event_key(&*engine, key).await?;
    }
    let tasks = BackgroundTasks::new();
    let serving = BackgroundTasks::new();
    let consumers = LogConsumers {
        projections: (config.projections)(),
        policies: PolicySettings {
            claim_timeout: config.times.claim_timeout,
        },
        relay: config.nats.clone().zip(event_key),
    };
    let parts = AppParts {
        engine: Arc::clone(&engine),
        master: config.master_key()?.clone(),
        identity: config.identity()?,
        metrics: telemetry::metrics(&tasks),
        metrics_open: config.metrics_open,
        times: config.times,
        consumers,
    };
    let app = match App::start(parts, &tasks).await {
        Ok(app) => app,
        Err(refused) => {
            // SQLite must leave no WAL of a rejected file behind: it would be read into the file that replaces it.
            tasks.stop(FLUSH).await;
            engine.close().await;
            return Err(refused.into());
        }
    };
    let listener = HttpListener::bind(config.listen, limits)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.address;
    let router = routes::router(app.clone(), &config.services);
    serving.spawn(
        "listener",
        listener.serve(router, app.stop.clone(), serving.clone()),
    );
    tracing::info!(
        event = "server.started",
        %address,
        database = %config.database,
        dev = config.dev.is_on(),
        "server listening",
    );
    Ok(Running {
        address,
        app,
        tasks,
        serving,
    })
}

/// Rejects a start without tokens on a database that was served with tokens, unless `--dev` is given.
async fn check_tokens(keys: &dyn KeyStore, dev: Dev) -> anyhow::Result<()> {
    match dev {
        Dev::Off => return Ok(keys.mark_served_with_tokens().await?),
        Dev::Implicit => {
            if keys.was_served_with_tokens().await? {
                let said = "--jwt-secret: is needed, since this database was served with tokens before; \
                            or say --dev, which lets callers in without a token";
                return Err(ConfigErrors(vec![said.to_owned()]).into());
            }
        }
        Dev::Explicit => {}
    }
    tracing::warn!(
        event = "server.without_tokens",
        "callers without a token are let in as admin of any tenant (--dev)",
    );
    Ok(())
}

/// Rejects a server login that could execute its own code as owner; warns if the login has more rights than needed.
async fn check_rights(engine: &dyn Engine) -> anyhow::Result<()> {
    let rights = engine.rights(Login::Server).await;
    let rights = rights.context("the rights of the database login cannot be read")?;
    rights.check()?;
    if rights.is_superuser || rights.owns_log {
        let login = &rights.login;
        let superuser = rights.is_superuser;
        let owner = rights.owns_log;
        tracing::warn!(
            event = "db.privileged_login",
            login,
            superuser,
            owner,
            "the database login can change the log; serve with --no-migrate as a role that is only in roentgen_server",
        );
    }
    Ok(())
}

/// Rejects a key other than the one that first signed this database's events: consumers know only that key.
async fn check_event_key(keys: &dyn KeyStore, key: &EventKey) -> anyhow::Result<()> {
    let known = keys.event_key_fingerprint(&key.fingerprint()).await?;
    anyhow::ensure!(
        known == key.fingerprint(),
        "the events of this database are signed by another key; give its file with --event-key-file"
    );
    Ok(())
}

impl Running {
    /// Finishes requests, then the current batch, then closes the database.
    pub(crate) async fn stop(self) -> bool {
        self.app.stop.cancel();
        let drained = self.serving.stop(Duration::from_secs(25)).await;
        let flushed = self.tasks.stop(FLUSH).await;
        Arc::clone(&self.app.store.engine).close().await;
        drained && flushed
    }

    /// Serves until a shutdown signal arrives.
    pub(crate) async fn until_signalled(self) -> anyhow::Result<ExitCode> {
        shutdown_signal().await?;
        tracing::info!(event = "server.stopping", "shutting down");
        let clean = tokio::select! {
            clean = self.stop() => clean,
            again = shutdown_signal() => {
                again?;
                false
            }
        };
        tracing::info!(event = "server.stopped", clean, "shutdown complete");
        Ok(if clean {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let running = start(&config).await?;
    if config.dev.is_on() {
        eprintln!(
            "listening on http://{} (dev mode: no token required)",
            running.address
        );
    }
    running.until_signalled().await
}
