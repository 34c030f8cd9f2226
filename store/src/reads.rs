//! Reads on behalf of somebody: the tenant is part of every look-up, and every tenant has its share of the readers.

use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::{StreamId, TenantId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::Store;
use crate::engine::Engine;
use crate::error::{StoreError, Unavailable};
use crate::fair::{FairShare, Limits, Share, ShareOwner};
use crate::log::{Head, HeldReservation, LogFilter, LogPage, ReservationKey, StoredEvent};
use crate::read_model::{ListQuery, ReadModel, Row};

/// How long a read waits for its turn.
const TURN: Duration = Duration::from_secs(2);
/// How many reads of one tenant may wait: as many readers of the log as may follow it, who all look when it grows.
const WAITING: usize = 4096;

/// Whose data a look-up by id finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One tenant's. Another tenant's id finds what an unknown id finds: nothing.
    Tenant(TenantId),
    /// Everybody's: for the projector, `verify`, operators.
    AllTenants,
}

impl Scope {
    /// The only tenant whose data is found, if there is one.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::AllTenants => None,
        }
    }
}

/// The readers of an engine, shared fairly among tenants.
#[derive(Debug, Clone)]
pub struct Readers {
    /// Those of the log.
    pub log: FairShare,
    /// Those of the read models.
    pub models: FairShare,
}

/// Connections beyond those that tenants share: what the system reads by.
pub(crate) const SYSTEM_READERS: u32 = 2;

impl Readers {
    /// One pool for the log and the read models.
    pub(crate) fn pooled(shared: usize, reserve: usize) -> Self {
        let log = FairShare::new("readers", limits(shared, reserve));
        Self {
            models: log.clone(),
            log,
        }
    }

    /// A pool for the log, and one for the read models.
    pub(crate) fn apart(shared: usize, reserve: usize) -> Self {
        Self {
            log: FairShare::new("log_readers", limits(shared, reserve)),
            models: FairShare::new("model_readers", limits(shared, reserve)),
        }
    }
}

const fn limits(shared: usize, reserve: usize) -> Limits {
    Limits {
        shared,
        reserve,
        little: 1,
        waiting: WAITING,
    }
}

/// Reads of the log and the read models, on behalf of a tenant or of the system.
#[derive(Debug, Clone)]
pub struct Reads {
    engine: Arc<dyn Engine>,
    scope: Scope,
    party: ShareOwner,
}

impl Reads {
    /// A tenant's callers: they see their tenant's data and wait for their tenant's turn.
    pub fn of_tenant(store: &Store, tenant: TenantId) -> Self {
        Self {
            engine: Arc::clone(&store.engine),
            scope: Scope::Tenant(tenant),
            party: ShareOwner::Tenant(tenant),
        }
    }

    /// The system, on behalf of a tenant: it sees that tenant's data and does not wait behind its callers.
    pub fn of_system_for(store: &Store, tenant: TenantId) -> Self {
        Self {
            engine: Arc::clone(&store.engine),
            scope: Scope::Tenant(tenant),
            party: ShareOwner::System,
        }
    }

    /// The system and operators: everybody's data.
    pub fn of_system(engine: &Arc<dyn Engine>) -> Self {
        Self {
            engine: Arc::clone(engine),
            scope: Scope::AllTenants,
            party: ShareOwner::System,
        }
    }

    /// The turn to read the log. It is kept for as long as what was read is folded or rendered, so that one tenant's
    /// work is bounded, and not only its statements.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the tenant's share of the readers is used up.
    pub async fn log_turn(&self) -> Result<ReadTurn<'_>, StoreError> {
        self.turn(&self.engine.readers().log).await
    }

    /// The turn to read the read models. It is kept for as long as what was read is rendered.
    ///
    /// # Errors
    /// As [`Self::log_turn`].
    pub async fn model_turn(&self) -> Result<ReadTurn<'_>, StoreError> {
        self.turn(&self.engine.readers().models).await
    }

    /// [`ReadTurn::stream`], in a turn of its own.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`Engine::read_stream`].
    pub async fn stream(
        &self,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let turn = self.log_turn().await?;
        turn.stream(stream_id, after_version, limit).await
    }

    /// [`ReadTurn::page`], in a turn of its own.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`Engine::read_log`].
    pub async fn page(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, StoreError> {
        self.log_turn().await?.page(after, limit, filter).await
    }

    /// The last event's place and link.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`Engine::head`].
    pub async fn head(&self) -> Result<Head, StoreError> {
        let _turn = self.log_turn().await?;
        let head = self.engine.head().await?;
        self.count(0);
        Ok(head)
    }

    /// What a claim says, if it is taken and not expired at `now_ms`. A key is a digest with the tenant in it.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`Engine::reservation`].
    pub async fn claim(
        &self,
        key: ReservationKey,
        now_ms: i64,
    ) -> Result<Option<HeldReservation>, StoreError> {
        let _turn = self.log_turn().await?;
        let held = self.engine.reservation(key, now_ms).await?;
        self.count(usize::from(held.is_some()));
        Ok(held)
    }

    /// A read model's rows by id, in no order; those that are not there, or not the tenant's, are left out.
    ///
    /// # Errors
    /// As [`Self::model_turn`], and those of [`Engine::live_rows`].
    pub async fn rows(
        &self,
        model: &'static ReadModel,
        ids: &[Uuid],
    ) -> Result<Vec<Row>, StoreError> {
        let _turn = self.model_turn().await?;
        let rows = self.engine.live_rows(self.scope, model, ids).await?;
        self.count(rows.len());
        Ok(rows)
    }

    /// [`ReadTurn::list`], in a turn of its own.
    ///
    /// # Errors
    /// As [`Self::model_turn`], and those of [`Engine::live_list`].
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Row>, StoreError> {
        self.model_turn().await?.list(query).await
    }

    /// The system's reads have connections of their own.
    async fn turn(&self, readers: &FairShare) -> Result<ReadTurn<'_>, StoreError> {
        let share = match self.party {
            ShareOwner::System => None,
            ShareOwner::Tenant(_) => {
                let share = readers.enter(self.party, 1, Instant::now() + TURN).await;
                Some(share.map_err(|_crowded| StoreError::Unavailable(Unavailable::Crowded))?)
            }
        };
        Ok(ReadTurn {
            reads: self,
            _share: share,
        })
    }

    /// Counts a statement and what it found: by nothing else is another tenant's id told from an unknown one.
    fn count(&self, found: usize) {
        if let ShareOwner::Tenant(_) = self.party {
            metrics::counter!("roentgen_tenant_reads_total").increment(1);
            metrics::counter!("roentgen_tenant_read_rows_total").increment(found as u64);
        }
    }
}

/// A reader's turn, until this is dropped. Within it no other is waited for.
#[derive(Debug)]
pub struct ReadTurn<'a> {
    reads: &'a Reads,
    _share: Option<Share>,
}

impl ReadTurn<'_> {
    /// A stream's events with `after < version`, in order, at most `limit`.
    ///
    /// # Errors
    /// Those of [`Engine::read_stream`].
    pub async fn stream(
        &self,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let Reads { engine, scope, .. } = self.reads;
        let events = engine
            .read_stream(*scope, stream_id, after_version, limit)
            .await?;
        self.reads.count(events.len());
        Ok(events)
    }

    /// Events after a position that pass the filter; a tenant's reads find the tenant's events, whatever the filter
    /// says.
    ///
    /// # Errors
    /// Those of [`Engine::read_log`].
    pub async fn page(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, StoreError> {
        let Reads { engine, scope, .. } = self.reads;
        let filter = LogFilter {
            tenant_id: scope.tenant().or(filter.tenant_id),
            ..filter.clone()
        };
        let page = engine.read_log(after, limit, &filter).await?;
        self.reads.count(page.events.len());
        Ok(page)
    }

    /// A page of a read model. The query names the tenant.
    ///
    /// # Errors
    /// Those of [`Engine::live_list`].
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Row>, StoreError> {
        let rows = self.reads.engine.live_list(query).await?;
        self.reads.count(rows.len());
        Ok(rows)
    }
}
