//! The floods: the most expensive requests of a tenant's callers, by the resource that they exhaust.

mod bodies;
mod contention;
mod readers;
mod rows;
mod schemas;
mod searches;

use anyhow::ensure;
use serde_json::json;
use tokio::task::JoinSet;

use crate::fairness::flood::Caller;
use crate::fairness::work::{catalog, made};
use crate::fairness::{FLOODS_FROM, Site};
use crate::http_client::Connection;

/// Kind of flood.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Rows,
    Searches,
    Bodies,
    Schemas,
    Contention,
    Readers,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Rows,
        Self::Searches,
        Self::Bodies,
        Self::Schemas,
        Self::Contention,
        Self::Readers,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Searches => "searches",
            Self::Bodies => "bodies",
            Self::Schemas => "schemas",
            Self::Contention => "contention",
            Self::Readers => "readers",
        }
    }

    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Rows => {
                "8 callers change orders, 60 KB of PHI each time, until the order is full"
            }
            Self::Searches => "32 callers search 1,000 long names for what is in none of them",
            Self::Bodies => "4 callers send bodies of up to 8 MiB that cost the most to read",
            Self::Schemas => {
                "4 callers make templates of 1,300 patterns that cost the most to compile"
            }
            Self::Contention => "200 callers change one order, half of them the other tenant's",
            Self::Readers => "200 callers read lists, the log, and its events as they come",
        }
    }

    /// Creates the data of the flood, and its callers. The log is by then long enough to fill the server's recent
    /// events.
    pub(crate) async fn callers(self, site: &Site) -> anyhow::Result<Vec<Caller>> {
        let mut admin = admin(site).await?;
        let procedure = catalog(&mut admin).await?;
        long_log(site).await?;
        match self {
            Self::Rows => Ok(rows::callers(&procedure)),
            Self::Searches => searches::callers(site, &mut admin).await,
            Self::Bodies => bodies::callers(&mut admin, &procedure).await,
            Self::Schemas => Ok(schemas::callers()),
            Self::Contention => contention::callers(site, &mut admin, &procedure).await,
            Self::Readers => readers::callers(site, &procedure).await,
        }
    }
}

async fn admin(site: &Site) -> anyhow::Result<Connection> {
    let token = Some(site.flooder.as_str());
    Connection::open_from(FLOODS_FROM, &site.server.address, token).await
}

/// Creates an order of the flooding tenant and returns its path.
async fn an_order(admin: &mut Connection, procedure: &str) -> anyhow::Result<String> {
    let id = made(admin, "/imaging/orders", &order(procedure)).await?;
    Ok(format!("/imaging/orders/{id}"))
}

fn order(procedure: &str) -> serde_json::Value {
    let patient = roentgen_store::clock::fresh_id();
    json!({ "patient_id": patient, "imaging_procedure_id": procedure, "indication": "flood" })
}

/// Creates a resource for each of these bodies, several concurrently.
async fn make(
    site: &Site,
    path: &'static str,
    count: usize,
    body: impl Fn(usize) -> serde_json::Value + Clone + Send + 'static,
) -> anyhow::Result<()> {
    const CONCURRENCY: usize = 8;
    let mut makers = JoinSet::new();
    for maker in 0..CONCURRENCY {
        let mut connection = admin(site).await?;
        let body = body.clone();
        makers.spawn(async move {
            for number in (maker..count).step_by(CONCURRENCY) {
                made(&mut connection, path, &body(number)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = makers.join_next().await {
        done??;
    }
    Ok(())
}

/// Appends 36 MB of events.
async fn long_log(site: &Site) -> anyhow::Result<()> {
    let prose = "x".repeat(60_000);
    let template = move |number: usize| {
        json!({
            "code": format!("LONG{number}"), "name": "Long", "template_type": "free_text",
            "description": prose, "default_text": prose,
        })
    };
    make(site, "/radiology/templates", 300, template).await?;
    let mut connection = admin(site).await?;
    for _ in 0..4 {
        let page = connection.get("/events?limit=5000").await?;
        ensure!(page.status == 200, "{}", page.head);
    }
    Ok(())
}
