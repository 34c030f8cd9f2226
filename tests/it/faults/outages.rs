//! PostgreSQL restarted, disconnected, far away or unreachable, under load: every request is answered in time, with its
//! result or 503; what was acknowledged is in the log once; and the server recovers without intervention.

mod blackhole;
mod connection_reset;
mod high_latency;
mod postgres_restart;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, Nats, Postgres, Server, TcpProxy, TestClient, TestDatabase};
use uuid::Uuid;

use super::kill_policies::load::furnish;
use crate::cluster::audit;
use crate::cluster::failover_client::{
    AllowedFailures, ClientGroup, ClientStats, FailoverClient, NodeAddresses,
};
use crate::cluster::lag_monitor::{LagMonitor, Lags};
use crate::cluster::load::PatientWorkload;
use crate::relay::holds_the_log;
use crate::test_app::{SECRET, create_catalog, fresh};

const CLIENTS: usize = 12;
/// Upper limit of a response time. A list waits 2 s for its read model, 2 s for a connection and 7 s for a result.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(12);

/// One server that runs during the whole test, with its resources.
struct OutageTest {
    server: Server,
    tenant: Uuid,
    procedure: String,
    wire: Option<TcpProxy>,
    database: TestDatabase,
    nats: Nats,
}

impl OutageTest {
    /// Creates the test with a proxy to the shared PostgreSQL.
    async fn by_wire() -> Result<Self> {
        let database = TestDatabase::new(EngineKind::Postgres).await?;
        let wire = TcpProxy::to(&database.url).await?;
        Self::open(database, Some(wire)).await
    }

    /// Creates the test on a PostgreSQL that can be restarted.
    async fn on(postgres: &Postgres) -> Result<Self> {
        Self::open(TestDatabase::on(postgres)?, None).await
    }

    async fn open(database: TestDatabase, wire: Option<TcpProxy>) -> Result<Self> {
        let nats = Nats::start().await?;
        let tenant = fresh();
        let url = match &wire {
            Some(wire) => wire.url(&database.url)?,
            None => database.url.clone(),
        };
        let server = Server::spawn(&database, |command| {
            command
                .env("ROENTGEN_JWT_SECRET", SECRET)
                .env("ROENTGEN_DATABASE", url)
                .args(["--dev", "--nats", &nats.url()]);
        })
        .await?;
        let client = TestClient::dev(&server.base, tenant);
        let procedure = create_catalog(&client).await?;
        furnish(&client).await?;
        Ok(Self {
            server,
            tenant,
            procedure,
            wire,
            database,
            nats,
        })
    }

    fn wire(&self) -> &TcpProxy {
        self.wire.as_ref().unwrap()
    }

    fn client(&self) -> TestClient {
        TestClient::dev(&self.server.base, self.tenant).with_timeout(RESPONSE_TIMEOUT)
    }

    fn crowd(&self) -> (ClientGroup<PatientWorkload>, Arc<ClientStats>) {
        let nodes = NodeAddresses::at(vec![self.server.base.clone()]);
        let met = Arc::default();
        let ward = |_| {
            let caller = FailoverClient::new(
                &nodes,
                self.tenant,
                (RESPONSE_TIMEOUT, AllowedFailures::None),
                &met,
            );
            PatientWorkload::new(caller, self.tenant, &self.procedure)
        };
        (
            ClientGroup::start((0..CLIENTS).map(ward), PatientWorkload::work),
            Arc::clone(&met),
        )
    }

    async fn watch(&self) -> Result<LagMonitor<'_>> {
        LagMonitor::start(&self.database, &self.nats).await
    }

    /// Waits until every client has finished what it started, then checks that everything was written once.
    async fn ends_well(
        &self,
        crowd: ClientGroup<PatientWorkload>,
        met: &ClientStats,
    ) -> Result<()> {
        let meanwhile = met.answers();
        let wards = crowd.join_all().await?;
        eprintln!("{meanwhile} answers meanwhile; in all {}", met.told());
        audit::whole(&self.database, &wards).await?;
        holds_the_log(&self.nats, &self.database).await?;
        ensure!(meanwhile > 20, "too little load to prove anything");
        Ok(())
    }
}

/// Checks the node's reported lag while a future runs. Returns the future's result and the last reported lag.
async fn watched<T>(
    watch: &LagMonitor<'_>,
    node: &TestClient,
    meanwhile: impl Future<Output = Result<T>>,
) -> Result<(T, Lags)> {
    let mut meanwhile = std::pin::pin!(meanwhile);
    let mut said = Lags::default();
    loop {
        tokio::select! {
            ended = &mut meanwhile => return Ok((ended?, said)),
            looked = watch.look(node) => said = looked?,
        }
    }
}

/// Not a wait: the current condition is to last for this time.
async fn for_a_while(seconds: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(())
}
