//! State shared by all handlers.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use roentgen_commands::Executor;
use roentgen_commands::policies::{self, PolicySettings, Runner};
use roentgen_domain::ids::TenantId;
use roentgen_relay::{self as relay, Relay};
use roentgen_store::StoreError;
use roentgen_store::database::Store;
use roentgen_store::engine::Engine;
use roentgen_store::error::{EngineError, KeyError, Unavailable};
use roentgen_store::fair::{FairShare, Limits, Share, ShareOwner};
use roentgen_store::keys::MasterKey;
use roentgen_store::lease::{LEADER, Leases};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::projection::{self, Projection};
use roentgen_store::projector::{ParkedStreams, ProjectionProgress, Projector};
use roentgen_store::reads::Reads;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answers::ResponseBudget;
use crate::command_request::Bodies;
use crate::config::Timeouts;
use crate::identity::TokenVerifier;
use crate::pagination::Cursors;
use crate::viewer::ViewerTokens;

/// Limits of concurrent long polls and event streams. Each holds a slot for minutes, so none queues for a slot.
const FOLLOWERS: Limits = Limits {
    shared: 4096,
    reserve: 1024,
    little: 64,
    waiting: 0,
};

/// Limits of long pages that are read and rendered concurrently, enough to keep the processors busy. Each takes
/// milliseconds of CPU time: more would delay all other requests, and could occupy all readers of a tenant.
const LONG_PAGES: Limits = Limits {
    shared: 2,
    reserve: 1,
    little: 1,
    waiting: 4096,
};
/// Maximum time that a long page waits for its turn.
const LONG_PAGE_TURN: Duration = Duration::from_secs(2);

/// Components of the server, shared by all requests. A clone adds a reference.
#[derive(Debug, Clone)]
pub struct App(Arc<AppInner>);

impl std::ops::Deref for App {
    type Target = AppInner;

    fn deref(&self) -> &AppInner {
        &self.0
    }
}

/// State shared by all handlers.
#[derive(Debug)]
pub struct AppInner {
    /// Event store: log, keys and secrets.
    pub store: Store,
    /// Executor of commands.
    pub executor: Executor,
    /// Progress of the read models.
    pub progress: ProjectionProgress,
    /// Parked streams of the read models.
    pub parking: ParkedStreams,
    /// Progress of the policies.
    pub policies: policies::PolicyProgress,
    /// Progress of the relay, if any.
    pub relay: Option<relay::RelayProgress>,
    /// Verifier of bearer tokens.
    pub identity: TokenVerifier,
    /// Issuer and verifier of viewer tokens.
    pub(crate) viewer_tokens: ViewerTokens,
    /// Encoder of pagination cursors.
    pub(crate) cursors: Cursors,
    /// Memory budget of request bodies in flight.
    pub(crate) bodies: Bodies,
    /// Memory budget of responses in flight.
    pub(crate) answers: ResponseBudget,
    /// Configured timeouts.
    pub times: Timeouts,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// Metrics of this process.
    pub metrics: Metrics,
    /// Slots for readers of the feed that wait for events.
    pub(crate) followers: FairShare,
    /// Turns for long pages.
    long_pages: FairShare,
    /// Cancelled on shutdown: readiness fails, long responses end, new connections are not accepted.
    pub stop: CancellationToken,
}

/// Prometheus metrics of the process.
#[derive(Clone)]
pub struct Metrics(pub PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Consumers of the log.
#[derive(Debug)]
pub struct LogConsumers {
    /// Read models.
    pub projections: Vec<Arc<dyn Projection>>,
    /// Settings of the policies.
    pub policies: PolicySettings,
    /// Settings and signing key of the relay, if any.
    pub relay: Option<(relay::Settings, relay::EventKey)>,
}

/// What a server is started from.
#[derive(Debug)]
pub struct AppParts {
    /// Database whose schema is up to date.
    pub engine: Arc<dyn Engine>,
    /// Master key.
    pub master: MasterKey,
    /// Verifier of bearer tokens.
    pub identity: TokenVerifier,
    /// Metrics of this process.
    pub metrics: Metrics,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// Configured timeouts.
    pub times: Timeouts,
    /// Consumers of the log.
    pub consumers: LogConsumers,
}

/// Failure to start the server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Database error.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Error of the patient keys or the master key.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl App {
    /// Returns reads in the tenant's share.
    pub(crate) fn reads(&self, tenant: TenantId) -> Reads {
        Reads::of_tenant(&self.store, tenant)
    }

    /// Waits for a turn to read and render a long page; the caller holds it until the page is rendered. Returns `None`
    /// for the system, which needs no turn.
    pub(crate) async fn long_page(&self, party: ShareOwner) -> Result<Option<Share>, StoreError> {
        if party == ShareOwner::System {
            return Ok(None);
        }
        let deadline = Instant::now() + LONG_PAGE_TURN;
        let share = self.long_pages.enter(party, 1, deadline).await;
        let share = share.map_err(|_crowded| StoreError::Unavailable(Unavailable::Crowded))?;
        Ok(Some(share))
    }

    /// Starts all components.
    ///
    /// # Errors
    ///
    /// [`StartError`] of the component that cannot start.
    pub async fn start(parts: AppParts, tasks: &BackgroundTasks) -> Result<Self, StartError> {
        let AppParts {
            engine,
            master,
            identity,
            metrics,
            metrics_open,
            times,
            consumers,
        } = parts;
        let viewer_tokens = ViewerTokens::new(&master, times.viewer_token_ttl);
        let cursors = Cursors::new(&master);
        let store = Store::start(Arc::clone(&engine), master, tasks).await?;
        let projections = consumers.projections;
        let tail = Arc::clone(&store.tail);
        let names = projection::leases(&projections).into_iter();
        let names = names.chain([LEADER.to_owned()]);
        let leases = Leases::start(engine.clone(), "", names, tasks);
        let leadership = leases.leadership(LEADER);
        let parking = ParkedStreams::new(Arc::clone(&engine), projections.clone());
        let progress = Projector::start(engine, tail, projections, leases, tasks).await?;
        let executor = Executor::new(store.clone());
        let policies = policies::all(consumers.policies);
        let relay = consumers.relay.map(|(settings, key)| {
            Relay::start(store.clone(), settings, key, leadership.clone(), tasks)
        });
        let policies = Runner::start(executor.clone(), policies, leadership, tasks).await?;
        Ok(Self(Arc::new(AppInner {
            executor,
            policies,
            relay,
            store,
            progress,
            parking,
            identity,
            viewer_tokens,
            cursors,
            bodies: Bodies::default(),
            answers: ResponseBudget::default(),
            metrics,
            metrics_open,
            times,
            followers: FairShare::new("followers", FOLLOWERS),
            long_pages: FairShare::new("long_pages", LONG_PAGES),
            stop: CancellationToken::new(),
        })))
    }
}
