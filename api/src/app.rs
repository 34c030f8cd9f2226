//! What every handler works with.

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
use roentgen_store::error::{EngineError, Unavailable};
use roentgen_store::fair::{FairShare, Limits, Share, ShareOwner};
use roentgen_store::keys::{KeyError, MasterKey};
use roentgen_store::lease::{LEADER, Leases};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::projector::{self, ParkedStreams, Projection, ProjectionProgress, Projector};
use roentgen_store::reads::Reads;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answers::ResponseBudget;
use crate::command_request::Bodies;
use crate::config::Timeouts;
use crate::identity::TokenVerifier;
use crate::pagination::Cursors;
use crate::viewer::ViewerTokens;

/// Long polls and event streams at once. They keep a place for minutes, so nobody waits for one.
const FOLLOWERS: Limits = Limits {
    shared: 4096,
    reserve: 1024,
    little: 64,
    waiting: 0,
};

/// Long pages that are read and rendered at once: as many as keep the processors busy. More of them only make
/// everything else wait, since each of them takes milliseconds at a time; and a tenant's readers might all be busy with
/// them.
const LONG_PAGES: Limits = Limits {
    shared: 2,
    reserve: 1,
    little: 1,
    waiting: 4096,
};
/// How long a long page waits for its turn.
const LONG_PAGE_TURN: Duration = Duration::from_secs(2);

/// The program's parts, shared by all requests. A clone is one reference more.
#[derive(Debug, Clone)]
pub struct App(Arc<AppInner>);

impl std::ops::Deref for App {
    type Target = AppInner;

    fn deref(&self) -> &AppInner {
        &self.0
    }
}

/// What every handler works with.
#[derive(Debug)]
pub struct AppInner {
    /// The log and everything over it.
    pub store: Store,
    /// The write side.
    pub executor: Executor,
    /// How far the read models are.
    pub progress: ProjectionProgress,
    /// What of them is parked.
    pub parking: ParkedStreams,
    /// How far the policies are.
    pub policies: policies::PolicyProgress,
    /// How far the relay is, where there is one.
    pub relay: Option<relay::RelayProgress>,
    /// Who calls.
    pub identity: TokenVerifier,
    /// Who may look at which study's images.
    pub(crate) viewer_tokens: ViewerTokens,
    /// Where pages of lists end.
    pub(crate) cursors: Cursors,
    /// What bodies in flight may weigh.
    pub(crate) bodies: Bodies,
    /// What answers in flight may weigh.
    pub(crate) answers: ResponseBudget,
    /// How long what may take.
    pub times: Timeouts,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Places for readers of the log that wait for events.
    pub(crate) followers: FairShare,
    /// Turns for long pages.
    long_pages: FairShare,
    /// Cancelled when the server is to stop: readiness fails, long answers end, nothing more is accepted.
    pub stop: CancellationToken,
}

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics(pub PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// What follows the log.
#[derive(Debug)]
pub struct LogConsumers {
    /// The read models.
    pub projections: Vec<Arc<dyn Projection>>,
    /// What policies are told.
    pub policies: PolicySettings,
    /// What the relay is told, where there is one.
    pub relay: Option<(relay::Settings, relay::EventKey)>,
}

/// Why the parts do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl App {
    /// Reads of what a tenant has, in the tenant's turn.
    pub(crate) fn reads(&self, tenant: TenantId) -> Reads {
        Reads::of_tenant(&self.store, tenant)
    }

    /// The turn to read and render a long page, kept until it is rendered. The system waits for none.
    pub(crate) async fn long_page(&self, party: ShareOwner) -> Result<Option<Share>, StoreError> {
        if party == ShareOwner::System {
            return Ok(None);
        }
        let deadline = Instant::now() + LONG_PAGE_TURN;
        let share = self.long_pages.enter(party, 1, deadline).await;
        let share = share.map_err(|_crowded| StoreError::Unavailable(Unavailable::Crowded))?;
        Ok(Some(share))
    }

    /// Starts everything that runs over a database whose schema is up to date.
    ///
    /// # Errors
    ///
    /// [`StartError`] with the part that cannot start.
    pub async fn start(
        engine: Arc<dyn Engine>,
        master: MasterKey,
        identity: TokenVerifier,
        metrics: (Metrics, bool),
        times: Timeouts,
        followers: LogConsumers,
        tasks: &BackgroundTasks,
    ) -> Result<Self, StartError> {
        let viewer_tokens = ViewerTokens::new(&master, times.viewer_token_ttl);
        let cursors = Cursors::new(&master);
        let store = Store::start(Arc::clone(&engine), master, tasks).await?;
        let projections = followers.projections;
        let tail = Arc::clone(&store.tail);
        let names = projector::leases(&projections).into_iter();
        let names = names.chain([LEADER.to_owned()]);
        let leases = Leases::start(Arc::clone(&engine), "", names, tasks);
        let leadership = leases.leadership(LEADER);
        let parking = ParkedStreams::new(Arc::clone(&engine), projections.clone());
        let progress = Projector::start(engine, tail, projections, leases, tasks).await?;
        let executor = Executor::new(store.clone());
        let policies = policies::all(followers.policies);
        let relay = followers.relay.map(|(settings, key)| {
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
            metrics: metrics.0,
            metrics_open: metrics.1,
            times,
            followers: FairShare::new("followers", FOLLOWERS),
            long_pages: FairShare::new("long_pages", LONG_PAGES),
            stop: CancellationToken::new(),
        })))
    }
}
