//! The working tenant: cases from the order to the signed report, started at a fixed rate, and the lists in between. It
//! knows what it wrote and compares the responses.

mod case;
mod figures;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::fairness::WORKS_FROM;
use crate::http_client::{Connection, Server};

pub(crate) use figures::{Figures, target};

const A_CASE_EVERY: Duration = Duration::from_millis(125);

/// Roles of the caller that orders and takes images.
const WARD: [&str; 3] = ["clinician", "technologist", "integration"];
const READER: [&str; 1] = ["radiologist"];

/// Working tenant: its server, its catalog, and an order that it changes repeatedly.
#[derive(Debug)]
pub(crate) struct Work {
    address: String,
    tenant: Uuid,
    procedure: String,
    /// Path of the order that every case changes as well.
    pub(crate) ward_order: String,
}

impl Work {
    /// Creates the catalog.
    pub(crate) async fn begin(server: &Server, tenant: Uuid) -> anyhow::Result<Self> {
        let token = Server::token_of(tenant, &["admin"], None)?;
        let mut admin = Connection::open_from(WORKS_FROM, &server.address, Some(&token)).await?;
        let procedure = catalog(&mut admin).await?;
        let pacs = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
        made(&mut admin, "/pacs/endpoints", &pacs).await?;
        let order = case::order(&procedure, Uuid::from_u128(1));
        let order = made(&mut admin, "/imaging/orders", &order).await?;
        Ok(Self {
            address: server.address.clone(),
            tenant,
            procedure,
            ward_order: format!("/imaging/orders/{order}"),
        })
    }

    /// Starts cases for this time, and waits for the last of them.
    pub(crate) async fn run(self: Arc<Self>, duration: Duration) -> anyhow::Result<Figures> {
        let figures = Arc::new(Mutex::new(Figures::default()));
        let began = Instant::now();
        let mut tick = interval(A_CASE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut cases = JoinSet::new();
        loop {
            let due = tick.tick().await;
            if due - began >= duration {
                break;
            }
            let work = Arc::clone(&self);
            let figures = Arc::clone(&figures);
            cases.spawn(case::run(work, figures, due));
        }
        cases.join_all().await;
        let figures = Arc::into_inner(figures).context("a case is still running")?;
        figures.into_inner().ok().context("a case panicked")
    }

    fn token(&self, roles: &[&str], practitioner: Option<Uuid>) -> anyhow::Result<String> {
        Server::token_of(self.tenant, roles, practitioner)
    }

    async fn open(&self, token: &str) -> anyhow::Result<Connection> {
        Connection::open_from(WORKS_FROM, &self.address, Some(token)).await
    }
}

/// Creates a modality and a procedure, and returns the procedure's id.
pub(crate) async fn catalog(admin: &mut Connection) -> anyhow::Result<String> {
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let modality = made(admin, "/imaging/modalities", &modality).await?;
    let procedure = json!({ "code": "CT_HEAD", "name": "CT head", "modality_id": modality });
    made(admin, "/imaging/procedures", &procedure).await
}

/// Creates a resource and returns its id.
pub(crate) async fn made(
    connection: &mut Connection,
    path: &str,
    body: &Value,
) -> anyhow::Result<String> {
    let answer = connection.post(path, &body.to_string()).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 201,
        "POST {path}: {} {text}",
        answer.status
    );
    let created: Value = serde_json::from_slice(&answer.body)?;
    let id = created.get("id").and_then(Value::as_str);
    Ok(id.context("no id")?.to_owned())
}
