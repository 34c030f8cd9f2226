//! Several servers on one PostgreSQL, and the current leader.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{EngineKind, Nats, Server, TestClient, TestDatabase, poll};
use serde_json::Value;
use uuid::Uuid;

use super::failover_client::{AllowedFailures, ClientStats, FailoverClient, NodeAddresses};
use super::load::PatientWorkload;
use crate::faults::kill_policies::load::furnish;
use crate::test_app::{create_catalog, fresh, serve};

/// Time limit for a takeover of the leases.
pub(super) const TAKEN_OVER: Duration = Duration::from_secs(10);

/// Servers and their shared resources.
pub(super) struct TestCluster {
    servers: Vec<Server>,
    pub(super) nodes: NodeAddresses,
    pub(super) tenant: Uuid,
    pub(super) procedure: String,
    arguments: Vec<String>,
    pub(super) database: TestDatabase,
    pub(super) nats: Nats,
}

impl TestCluster {
    pub(super) async fn start(count: usize) -> Result<Self> {
        let database = TestDatabase::new(EngineKind::Postgres).await?;
        let nats = Nats::start().await?;
        let arguments = vec!["--dev".to_owned(), "--nats".to_owned(), nats.url()];
        let tenant = fresh();
        let mut fleet = Self {
            servers: Vec::new(),
            nodes: NodeAddresses::at(Vec::new()),
            tenant,
            procedure: String::new(),
            arguments,
            database,
            nats,
        };
        for _ in 0..count {
            let server = fleet.start_server().await?;
            fleet.servers.push(server);
        }
        let bases = fleet.servers.iter().map(|server| server.base.clone());
        fleet.nodes = NodeAddresses::at(bases.collect());
        let client = fleet.client(0);
        fleet.procedure = create_catalog(&client).await?;
        furnish(&client).await?;
        Ok(fleet)
    }

    async fn start_server(&self) -> Result<Server> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        serve(&self.database, &arguments).await
    }

    /// Returns a client of the tenant's admin for one node.
    pub(super) fn client(&self, node: usize) -> TestClient {
        TestClient::dev(&self.servers[node].base, self.tenant)
    }

    /// Creates this number of workloads, with a response timeout and the allowed failures, and their statistics.
    pub(super) fn wards(
        &self,
        count: usize,
        terms: (Duration, AllowedFailures),
    ) -> (Vec<PatientWorkload>, Arc<ClientStats>) {
        let met = Arc::default();
        let ward = |_| {
            let caller = FailoverClient::new(&self.nodes, self.tenant, terms, &met);
            PatientWorkload::new(caller, self.tenant, &self.procedure)
        };
        ((0..count).map(ward).collect(), Arc::clone(&met))
    }

    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    /// Returns the node that leads according to its log.
    pub(super) async fn leader(&self) -> Result<usize> {
        self.leader_but(None).await
    }

    /// Waits until a node other than `gone` leads, and returns it.
    pub(super) async fn leader_but(&self, gone: Option<usize>) -> Result<usize> {
        let found = async || {
            let others = (0..self.len()).filter(|number| Some(*number) != gone);
            others.rev().find(|other| leads(&self.servers[*other]))
        };
        let found = poll::wait_until("a leader", TAKEN_OVER, found, Option::is_some).await?;
        found.context("no leader")
    }

    pub(super) fn signal(&self, node: usize, name: &str) -> Result<()> {
        self.servers[node].signal(name)
    }

    /// Sends SIGKILL and starts another process in its place.
    pub(super) async fn kill(&mut self, node: usize) -> Result<()> {
        self.servers.remove(node).kill()?;
        self.begin_again(node).await
    }

    /// Sends SIGTERM and starts another process in its place.
    pub(super) async fn restart(&mut self, node: usize) -> Result<()> {
        let server = self.servers.remove(node);
        server.signal("TERM")?;
        let ended = tokio::task::spawn_blocking(|| server.wait()).await??;
        ensure!(ended == Some(0), "node {node} ended with {ended:?}");
        self.begin_again(node).await
    }

    async fn begin_again(&mut self, node: usize) -> Result<()> {
        let server = self.start_server().await?;
        self.nodes.moved(node, &server.base);
        self.servers.insert(node, server);
        Ok(())
    }
}

/// Returns whether the server holds all leases.
fn leads(server: &Server) -> bool {
    let logged = server.logged().unwrap_or_default();
    let mut changes = logged.lines().rev().filter_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        (entry["event"] == "lease.changed").then(|| entry["held"] == entry["of"])
    });
    changes.next().unwrap_or(false)
}
