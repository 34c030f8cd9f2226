//! A JetStream cluster of three nats-servers, each of which can be killed.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::stream::ClusterInfo;

use super::{Nats, free_port};
use crate::poll;

const MEMBERS: usize = 3;
/// Maximum time of a leader election and of the catch-up of a restarted member.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// JetStream cluster. Dropping it kills its members.
#[derive(Debug)]
pub struct Cluster(Vec<Nats>);

/// Cluster settings of one server.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    /// Port for the routes of the other members.
    port: u16,
    others: Vec<u16>,
}

impl Member {
    fn all() -> Result<Vec<Self>> {
        let ports = (0..MEMBERS).map(|_| free_port());
        let ports = ports.collect::<Result<Vec<_>>>()?;
        let member = |(n, port): (usize, &u16)| Self {
            name: format!("member-{n}"),
            port: *port,
            others: ports
                .iter()
                .copied()
                .filter(|number| number != port)
                .collect(),
        };
        Ok(ports.iter().enumerate().map(member).collect())
    }

    pub(super) fn arguments(&self) -> [String; 8] {
        let url = |port: &u16| format!("nats://127.0.0.1:{port}");
        let routes: Vec<_> = self.others.iter().map(url).collect();
        [
            "--name".to_owned(),
            self.name.clone(),
            "--cluster_name".to_owned(),
            "roentgen-tests".to_owned(),
            "--cluster".to_owned(),
            url(&self.port),
            "--routes".to_owned(),
            routes.join(","),
        ]
    }
}

impl Cluster {
    /// Starts a cluster on free ports, with empty stores.
    pub async fn start() -> Result<Self> {
        let mut members = Vec::new();
        for member in Member::all()? {
            members.push(Nats::start_with(None, Some(member)).await?);
        }
        Ok(Self(members))
    }

    /// Returns the URLs of all members, for `--nats`.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.0.iter().map(Nats::url).collect();
        urls.join(",")
    }

    /// Returns a running member.
    pub fn one(&self) -> Result<&Nats> {
        let one = self.0.iter().find(|nats| nats.child.is_some());
        one.context("every member is dead")
    }

    /// Waits until the stream has a leader and every other member follows it; returns the leader's name.
    pub async fn leader(&self) -> Result<String> {
        let whole = |cluster: &ClusterInfo| {
            cluster.replicas.len() + 1 == MEMBERS
                && cluster.replicas.iter().all(|info| info.current)
        };
        self.led("a leader whom all follow", whole).await
    }

    /// Sends SIGKILL to a member, waits until the others have elected another leader, and returns its name.
    pub async fn kill(&mut self, name: &str) -> Result<String> {
        self.member(name)?.kill()?;
        let other = |cluster: &ClusterInfo| cluster.leader.as_deref() != Some(name);
        self.led("another leader", other).await
    }

    /// Starts a member again with its existing store.
    pub async fn start_again(&mut self, name: &str) -> Result<()> {
        self.member(name)?.restart().await
    }

    async fn led(&self, what: &str, so: impl Fn(&ClusterInfo) -> bool) -> Result<String> {
        let one = self.one()?;
        let asked = async || {
            one.info()
                .await
                .ok()
                .flatten()
                .and_then(|info| info.cluster)
        };
        let led = |cluster: &Option<ClusterInfo>| {
            cluster.as_ref().is_some_and(|cluster| {
                cluster
                    .leader
                    .as_ref()
                    .is_some_and(|leader| !leader.is_empty())
                    && so(cluster)
            })
        };
        let seen = poll::wait_until(what, WAIT_TIMEOUT, asked, led).await?;
        seen.and_then(|cluster| cluster.leader).context("no leader")
    }

    fn member(&mut self, name: &str) -> Result<&mut Nats> {
        let named = |nats: &&mut Nats| {
            nats.member
                .as_ref()
                .is_some_and(|member| member.name == name)
        };
        self.0.iter_mut().find(named).context("no such member")
    }
}
