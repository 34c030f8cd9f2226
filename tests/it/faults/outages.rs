//! PostgreSQL restarted, cut off, far away or dark, under load: everybody is answered in time, with what was asked or with
//! "not now"; what was acknowledged is there once; and the server goes on by itself.

mod cut;
mod dark;
mod restarted;
mod slow;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_tests::{Client, Database, Engine, Nats, Postgres, Server, Wire};
use uuid::Uuid;

use super::policies::load::furnish;
use crate::nodes::audit;
use crate::nodes::caller::{Caller, Crowd, Excused, Met, Nodes};
use crate::nodes::load::Ward;
use crate::nodes::watch::{Lags, Watch};
use crate::relay::holds_the_log;
use crate::story::{SECRET, catalog, fresh};

const CLIENTS: usize = 12;
/// Whoever is not answered by then is told nothing. A list waits 2 s for its read model, 2 s for a connection and 7 s for an
/// answer on it.
const LIMIT: Duration = Duration::from_secs(12);

/// One server, with what it needs, that is there all the time.
struct Scene {
    server: Server,
    tenant: Uuid,
    procedure: String,
    wire: Option<Wire>,
    database: Database,
    nats: Nats,
}

impl Scene {
    /// Over a wire to the tests' own PostgreSQL.
    async fn by_wire() -> Result<Self> {
        let database = Database::new(Engine::Postgres).await?;
        let wire = Wire::to(&database.url).await?;
        Self::open(database, Some(wire)).await
    }

    /// Over a PostgreSQL that can be restarted.
    async fn on(postgres: &Postgres) -> Result<Self> {
        Self::open(Database::on(postgres)?, None).await
    }

    async fn open(database: Database, wire: Option<Wire>) -> Result<Self> {
        let (nats, tenant) = (Nats::start().await?, fresh());
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
        let client = Client::dev(&server.base, tenant);
        let procedure = catalog(&client).await?;
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

    fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }

    fn client(&self) -> Client {
        Client::dev(&self.server.base, self.tenant).within(LIMIT)
    }

    fn crowd(&self) -> (Crowd<Ward>, Arc<Met>) {
        let nodes = Nodes::at(vec![self.server.base.clone()]);
        let met = Arc::default();
        let ward = |_| {
            let caller = Caller::new(&nodes, self.tenant, (LIMIT, Excused::None), &met);
            Ward::new(caller, self.tenant, &self.procedure)
        };
        (
            Crowd::of((0..CLIENTS).map(ward), Ward::work),
            Arc::clone(&met),
        )
    }

    async fn watch(&self) -> Result<Watch<'_>> {
        Watch::over(&self.database, &self.nats).await
    }

    /// Everybody finishes what they began; then everything is there, and once.
    async fn ends_well(&self, crowd: Crowd<Ward>, met: &Met) -> Result<()> {
        let meanwhile = met.answers();
        let wards = crowd.home().await?;
        eprintln!("{meanwhile} answers meanwhile; in all {}", met.told());
        audit::whole(&self.database, &wards).await?;
        holds_the_log(&self.nats, &self.database).await?;
        ensure!(meanwhile > 20, "too little load to prove anything");
        Ok(())
    }
}

/// Looks at what the node says for as long as something else takes. Returns what it said last.
async fn watched<T>(
    watch: &Watch<'_>,
    node: &Client,
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

/// Not a wait for anything: for as long as this, things are as they are.
async fn for_a_while(seconds: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(())
}
