//! Reads on behalf of a tenant or the system: every lookup is scoped to the tenant, and readers are shared fairly.

use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::ids::{StreamId, TenantId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::chain::Head;
use crate::database::Store;
use crate::engine::Engine;
use crate::error::{StoreError, Unavailable};
use crate::fair::{FairShare, Share, ShareOwner};
use crate::log::{HeldReservation, LogFilter, LogPage, ReservationKey, StoredEvent};
use crate::read_model::{ListQuery, ReadModel, Row};
use crate::readers::Scope;

/// How long a read waits for its share.
const TURN: Duration = Duration::from_secs(2);
/// Reads of the log and the read models, on behalf of a tenant or of the system.
#[derive(Debug, Clone)]
pub struct Reads {
    engine: Arc<dyn Engine>,
    scope: Scope,
    party: ShareOwner,
}

impl Reads {
    /// Creates reads for a tenant's callers: they find the tenant's data, within the tenant's share.
    pub fn of_tenant(store: &Store, tenant: TenantId) -> Self {
        Self {
            engine: Arc::clone(&store.engine),
            scope: Scope::Tenant(tenant),
            party: ShareOwner::Tenant(tenant),
        }
    }

    /// Creates reads for the system on behalf of a tenant: they find the tenant's data and do not wait for its callers.
    pub fn of_system_for(store: &Store, tenant: TenantId) -> Self {
        Self {
            engine: Arc::clone(&store.engine),
            scope: Scope::Tenant(tenant),
            party: ShareOwner::System,
        }
    }

    /// Creates reads for the system and operators: they find all tenants' data.
    pub fn of_system(engine: &Arc<dyn Engine>) -> Self {
        Self {
            engine: Arc::clone(engine),
            scope: Scope::AllTenants,
            party: ShareOwner::System,
        }
    }

    /// Takes a turn to read the log. It is held while the result is folded or rendered, so that a tenant's share bounds
    /// this work too, and not only the statements.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the tenant's share of the readers is used up.
    pub async fn log_turn(&self) -> Result<ReadTurn<'_>, StoreError> {
        self.turn(&self.engine.readers().log).await
    }

    /// Takes a turn to read the read models. It is held while the result is rendered.
    ///
    /// # Errors
    /// As [`Self::log_turn`].
    pub async fn model_turn(&self) -> Result<ReadTurn<'_>, StoreError> {
        self.turn(&self.engine.readers().models).await
    }

    /// Runs [`ReadTurn::stream`] in a separate turn.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`EventLog::read_stream`](crate::engine::EventLog::read_stream).
    pub async fn stream(
        &self,
        stream_id: StreamId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let turn = self.log_turn().await?;
        turn.stream(stream_id, after_version, limit).await
    }

    /// Runs [`ReadTurn::page`] in a separate turn.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`EventLog::read_log`](crate::engine::EventLog::read_log).
    pub async fn page(
        &self,
        after: u64,
        limit: u32,
        filter: &LogFilter,
    ) -> Result<LogPage, StoreError> {
        self.log_turn().await?.page(after, limit, filter).await
    }

    /// Returns the position and chain hash of the last event.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`EventLog::head`](crate::engine::EventLog::head).
    pub async fn head(&self) -> Result<Head, StoreError> {
        let _turn = self.log_turn().await?;
        let head = self.engine.head().await?;
        self.count(0);
        Ok(head)
    }

    /// Returns the stored outcome of a reservation that has not expired at `now_ms`. The key is a digest that covers
    /// the tenant.
    ///
    /// # Errors
    /// As [`Self::log_turn`], and those of [`EventLog::reservation`](crate::engine::EventLog::reservation).
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

    /// Returns rows of a read model by id, in no particular order. Rows that do not exist or are of another tenant are
    /// left out.
    ///
    /// # Errors
    /// As [`Self::model_turn`], and those of [`ReadModelStore::live_rows`](crate::engine::ReadModelStore::live_rows).
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

    /// Runs [`ReadTurn::list`] in a separate turn.
    ///
    /// # Errors
    /// As [`Self::model_turn`], and those of [`ReadModelStore::live_list`](crate::engine::ReadModelStore::live_list).
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Row>, StoreError> {
        self.model_turn().await?.list(query).await
    }

    /// Waits for a turn, except for the system's reads, which have reserved connections.
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

    /// Counts a tenant's read and its results. The counts must be the same for an id of another tenant and for an
    /// unknown id, because a difference would show in response times.
    fn count(&self, found: usize) {
        if let ShareOwner::Tenant(_) = self.party {
            metrics::counter!("roentgen_tenant_reads_total").increment(1);
            metrics::counter!("roentgen_tenant_read_rows_total").increment(found as u64);
        }
    }
}

/// A turn to read, held until drop. Reads within it do not wait for another turn.
#[derive(Debug)]
pub struct ReadTurn<'a> {
    reads: &'a Reads,
    _share: Option<Share>,
}

impl ReadTurn<'_> {
    /// Returns a stream's events with `after_version < version`, in order, at most `limit`.
    ///
    /// # Errors
    /// Those of [`EventLog::read_stream`](crate::engine::EventLog::read_stream).
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

    /// Returns events after a position that pass the filter. Reads of a tenant find only the tenant's events, whatever
    /// tenant the filter names.
    ///
    /// # Errors
    /// Those of [`EventLog::read_log`](crate::engine::EventLog::read_log).
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

    /// Returns a page of a read model. The query names the tenant.
    ///
    /// # Errors
    /// Those of [`ReadModelStore::live_list`](crate::engine::ReadModelStore::live_list).
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Row>, StoreError> {
        let rows = self.reads.engine.live_list(query).await?;
        self.reads.count(rows.len());
        Ok(rows)
    }
}
