//! Opens connections, with their limits, role and planner settings.

use std::time::Duration;

use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::error::EngineError;
use crate::readers::SYSTEM_READERS;

use super::{error_class, target, tcp_nodelay};

/// Read connections: shared by all tenants, and additional ones for tenants that hold none.
pub(super) const SHARED_READERS: usize = 8;
pub(super) const RESERVED_READERS: usize = 2;

/// Maximum wait for an answer; longer than the server's statement timeout, so a statement without an answer by then has
/// been stopped or cut off.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(7);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Idle time after which a connection is pinged before it is used.
const MAX_IDLE_WITHOUT_PING: Duration = Duration::from_secs(1);

/// Timeouts: no call may block another for long, wherever either of them is stuck.
const LIMITS: [(&str, &str); 5] = [
    ("lock_timeout", "2s"),
    ("statement_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_user_timeout", "5s"),
    ("client_connection_check_interval", "2s"),
];

/// Planner settings. Every statement of the server follows an index, and its plan must not depend on how full the
/// tables were when it was planned: a plan from an empty table's statistics is a sequential scan that stays when the
/// table grows.
const PLANNER: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("jit", "off"),
];

/// Search path: `pg_catalog` is searched first implicitly, and temporary tables last. Settings of the role and the
/// database, including `"$user"`, are overridden.
const NAMES: [(&str, &str); 1] = [("search_path", "public,pg_temp")];

/// Options of the connections that the owner and the server open.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    owner: PgConnectOptions,
    server: PgConnectOptions,
}

impl Connector {
    pub(super) fn parse(url: &str) -> Result<Self, EngineError> {
        let target = target::parse(url).map_err(error_class::unusable)?;
        let owner = target
            .application_name("roentgen")
            .disable_statement_logging()
            .options(NAMES);
        let server = owner
            .clone()
            .options(LIMITS)
            .options(PLANNER)
            .options([("role", "roentgen_server")]);
        Ok(Self { owner, server })
    }

    /// Opens a connection of the server, outside any pool.
    pub(super) async fn connect(&self) -> Result<PgConnection, EngineError> {
        let connecting = PgConnection::connect_with(&self.server);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(error_class::timed_out()));
        let connection = connected.map_err(EngineError::Unavailable)?;
        tcp_nodelay::set_nodelay(&self.server);
        Ok(connection)
    }

    /// Returns a pool for the database's owner. Migrations may take long, and wait for one another.
    pub(super) fn migration_pool(&self) -> PgPool {
        pool(1, self.owner.clone().options([("lock_timeout", "60s")]))
    }

    /// Returns the pool for lists, single rows and pages of the log.
    pub(super) fn read_pool(&self) -> PgPool {
        let tenants = SHARED_READERS + RESERVED_READERS;
        let tenants = u32::try_from(tenants).unwrap_or(u32::MAX);
        pool(tenants + SYSTEM_READERS, self.server.clone())
    }

    /// Returns the pool that listens to other nodes; its connection has no maximum lifetime.
    pub(super) fn listen_pool(&self) -> PgPool {
        let long = options(1, &self.server)
            .max_lifetime(None)
            .idle_timeout(None);
        long.connect_lazy_with(self.server.clone())
    }

    /// Returns the projectors' pool. Projected rows could be rebuilt, but rows that were read must not revert, so the
    /// projectors' commits wait for the disk like any other.
    pub(super) fn projection_pool(&self) -> PgPool {
        pool(2, self.server.clone())
    }
}

fn pool(max: u32, to: PgConnectOptions) -> PgPool {
    options(max, &to)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| Box::pin(is_alive(connection, meta)))
        .connect_lazy_with(to)
}

fn options(max: u32, to: &PgConnectOptions) -> PgPoolOptions {
    let to = to.clone();
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_connect(move |_, _| {
            tcp_nodelay::set_nodelay(&to);
            Box::pin(std::future::ready(Ok(())))
        })
}

async fn is_alive(
    connection: &mut PgConnection,
    meta: PoolConnectionMetadata,
) -> sqlx::Result<bool> {
    if meta.idle_for > MAX_IDLE_WITHOUT_PING {
        connection.ping().await?;
    }
    Ok(true)
}
