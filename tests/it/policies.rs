//! Effects of events: every policy in the contract's table, on both engines. The commands are executed on a node in
//! this process, so that a test can wait for all effects and read the log.

mod ai_tasks;
mod failures;
mod fixtures;
mod http;
mod late_images;
mod order_linking;
mod reports;
mod runner;
mod study_arrival;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use roentgen_commands::policies::{self, POLICIES, Policy, PolicySettings, Runner};
use roentgen_commands::{
    CommandEnvelope, CommandError, DomainError, Executor, UnitOfWork, UseCase,
};
use roentgen_domain::ids::{CorrelationId, StreamId, TenantId};
use roentgen_domain::{Actor, Aggregate, Versioned};
use roentgen_store::database::{DatabaseUrl, Store};
use roentgen_store::keys::MasterKey;
use roentgen_store::lease::{LEADER, Leases};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_store::reads::Reads;
use roentgen_tests::{EngineKind, TestDatabase, poll};

use crate::read_model_audit::every_event;
use crate::test_app::{MASTER_KEY, fresh};

/// Time limit for all effects of a command, on the slowest machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any test takes.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Node in this process.
pub(crate) struct TestNode {
    pub(crate) store: Store,
    pub(crate) executor: Executor,
    pub(crate) tenant: TenantId,
    tasks: BackgroundTasks,
    /// Dropped last.
    database: Arc<TestDatabase>,
}

/// Command that is executed without a use case around it.
struct RawCommand<A: Aggregate> {
    id: StreamId,
    command: A::Command,
}

impl<A: Aggregate> UseCase for RawCommand<A>
where
    A::Command: Clone + Sync,
    DomainError: From<A::Error>,
{
    type Aggregate = A;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id)
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<A>, CommandError> {
        work.decide::<A>(self.id, self.command.clone()).await
    }
}

impl TestNode {
    /// Starts a node over a new database, with every policy.
    pub(crate) async fn start(engine: EngineKind) -> Result<Self> {
        Self::start_with(engine, AN_HOUR).await
    }

    /// Starts a node over a new database, with every policy and this timeout of idle claims.
    pub(crate) async fn start_with(engine: EngineKind, claim_timeout: Duration) -> Result<Self> {
        let database = Arc::new(TestDatabase::new(engine).await?);
        let node = Self::without_policies(database, fresh().into()).await?;
        node.run(policies::all(PolicySettings { claim_timeout }))
            .await?;
        Ok(node)
    }

    /// Starts a node over this database, without policies.
    pub(crate) async fn without_policies(
        database: Arc<TestDatabase>,
        tenant: TenantId,
    ) -> Result<Self> {
        let engine = DatabaseUrl::parse(&database.url)?.connect().await?;
        engine.migrate().await?;
        let tasks = BackgroundTasks::new();
        let store = Store::start(engine, MasterKey::parse(MASTER_KEY)?, &tasks).await?;
        Ok(Self {
            executor: Executor::new(store.clone()),
            store,
            tenant,
            tasks,
            database,
        })
    }

    /// Starts another node over the same database, without policies.
    pub(crate) async fn second_node(&self) -> Result<Self> {
        Self::without_policies(Arc::clone(&self.database), self.tenant).await
    }

    /// Starts policies.
    pub(crate) async fn run(&self, policies: Vec<Arc<dyn Policy>>) -> Result<()> {
        self.run_under("", policies).await
    }

    /// Starts policies with a lease in this scope.
    pub(crate) async fn run_under(
        &self,
        scope: &'static str,
        policies: Vec<Arc<dyn Policy>>,
    ) -> Result<()> {
        let engine = Arc::clone(&self.store.engine);
        let names = [LEADER.to_owned()];
        let leadership = Leases::start(engine, scope, names, &self.tasks).leadership(LEADER);
        Runner::start(self.executor.clone(), policies, leadership, &self.tasks).await?;
        Ok(())
    }

    /// Shuts down as a process does on request.
    pub(crate) async fn stop(self) -> Result<()> {
        anyhow::ensure!(self.tasks.stop(WAIT_TIMEOUT).await, "a task did not end");
        self.store.engine.close().await;
        Ok(())
    }

    /// Executes a command as a caller with this practitioner id.
    pub(crate) async fn give_as<A>(
        &self,
        practitioner: Option<roentgen_domain::ids::PractitionerId>,
        id: impl Into<StreamId>,
        command: A::Command,
    ) -> Result<Versioned<A>>
    where
        A: Aggregate,
        A::Command: Clone + Sync,
        DomainError: From<A::Error>,
    {
        let request = self.request(practitioner, fresh().into());
        let give = RawCommand {
            id: id.into(),
            command,
        };
        let outcome = self.executor.execute(&request, &give).await;
        outcome.map(|outcome| outcome.resource).map_err(Into::into)
    }

    /// Executes a command as a caller without a practitioner id.
    pub(crate) async fn execute<A>(
        &self,
        id: impl Into<StreamId>,
        command: A::Command,
    ) -> Result<Versioned<A>>
    where
        A: Aggregate,
        A::Command: Clone + Sync,
        DomainError: From<A::Error>,
    {
        self.give_as::<A>(None, id, command).await
    }

    pub(crate) fn request(
        &self,
        practitioner: Option<roentgen_domain::ids::PractitionerId>,
        correlation_id: CorrelationId,
    ) -> CommandEnvelope {
        CommandEnvelope {
            tenant_id: self.tenant,
            actor: Actor {
                sub: "somebody".to_owned(),
                practitioner_id: practitioner,
                roles: Vec::new(),
                name: None,
            },
            correlation_id,
            causation_id: None,
            if_match: None,
            idempotency: None,
        }
    }

    /// Folds a resource from its stream, or returns `None` if it does not exist.
    pub(crate) async fn maybe<A: Aggregate>(
        &self,
        id: impl Into<StreamId>,
    ) -> Result<Option<Versioned<A>>> {
        let engine = &self.store.engine;
        let keyring = &self.store.keyring;
        Ok(loader::load::<A>(&Reads::of_system(engine), keyring, id.into(), AsOf::Now).await?)
    }

    /// Folds a resource from its stream.
    pub(crate) async fn state<A: Aggregate>(&self, id: impl Into<StreamId>) -> Result<A> {
        let found = self.maybe::<A>(id).await?;
        Ok(found.context(A::STREAM_TYPE)?.state)
    }

    /// Waits until the policies have processed the whole log.
    pub(crate) async fn wait_until_idle(&self) -> Result<()> {
        let engine = &self.store.engine;
        let lag = async || {
            let checkpoint = engine.checkpoint(POLICIES).await?;
            let head = engine.head().await?;
            anyhow::Ok(head.position.abs_diff(checkpoint.position))
        };
        let done = |result: &Result<u64>| result.as_ref().is_ok_and(|lag| *lag == 0);
        poll::wait_until("the policies' lag", WAIT_TIMEOUT, lag, done)
            .await?
            .map(drop)
    }

    /// Returns the events of one type.
    pub(crate) async fn events(&self, event_type: &str) -> Result<Vec<StoredEvent>> {
        let filter = LogFilter {
            event_types: vec![event_type.to_owned()],
            ..LogFilter::default()
        };
        every_event(&*self.store.engine, &filter).await
    }

    /// Waits for at least `count` events of one type.
    pub(crate) async fn wait_for_events(
        &self,
        event_type: &str,
        count: usize,
    ) -> Result<Vec<StoredEvent>> {
        let events = async || self.events(event_type).await;
        let enough =
            |result: &Result<Vec<_>>| result.as_ref().is_ok_and(|events| events.len() >= count);
        poll::wait_until(event_type, WAIT_TIMEOUT, events, enough).await?
    }

    /// Returns the recorded names of effects that failed permanently.
    pub(crate) async fn refused(&self) -> Result<Vec<String>> {
        let refused = self.store.engine.rejected_effects(100).await?;
        Ok(refused.into_iter().map(|effect| effect.effect).collect())
    }
}
