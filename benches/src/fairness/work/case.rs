//! One case: an order, its images, and the report on them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use roentgen_store::clock;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::figures::{Figures, Which};
use super::{READER, WARD, Work};
use crate::http_client::{BenchResponse, Connection};

const ORDERS: &str = "/imaging/orders";
const ITEMS: &str = "/radiology/worklist/items";
const REPORTS: &str = "/radiology/reports";
/// Response timeout.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for a study's case to appear on the worklist, and the pause between two checks.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum idle time of a reused connection; the server closes one after twice this time.
const IDLE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Returns the body of a new order.
pub(super) fn order(procedure: &str, patient: Uuid) -> Value {
    json!({
        "patient_id": patient, "imaging_procedure_id": procedure, "priority": "urgent",
        "indication": "sudden weakness of the right arm, rule out acute stroke",
        "patient": { "mrn": "MRN-0012345", "family_name": "Example", "given_name": "Anna" },
    })
}

/// Runs a case from its order to its report. An error ends the case and is counted. The latency of the first request is
/// measured from the time at which the case was due.
pub(super) async fn run(work: Arc<Work>, figures: Arc<Mutex<Figures>>, due: Instant) {
    let through = async {
        let mut case = Case {
            ward: Caller::new(&work, &WARD, None)?,
            reader: Caller::new(&work, &READER, Some(clock::fresh_id()))?,
            work: &work,
            figures: &figures,
            due: Some(due),
        };
        let patient = clock::fresh_id();
        case.ordered(patient).await?;
        let (study, item) = case.imaged(patient).await?;
        case.claimed(&study, &item).await?;
        case.reported(patient, &study).await
    };
    if let Err(error) = through.await {
        locked(&figures).wrong.push(format!("{error:#}"));
    }
}

fn locked(figures: &Mutex<Figures>) -> MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Case<'a> {
    ward: Caller,
    reader: Caller,
    work: &'a Work,
    figures: &'a Mutex<Figures>,
    /// Time at which the next request was due, if it was not just now.
    due: Option<Instant>,
}

/// Caller with a connection, which is open while it is used.
struct Caller {
    token: String,
    connection: Option<(Connection, Instant)>,
}

impl Caller {
    fn new(work: &Work, roles: &[&str], practitioner: Option<Uuid>) -> anyhow::Result<Self> {
        Ok(Self {
            token: work.token(roles, practitioner)?,
            connection: None,
        })
    }

    /// Returns the connection, or opens a new one if it was idle for so long that the server may be closing it.
    async fn connection(&mut self, work: &Work) -> anyhow::Result<&mut Connection> {
        let used = self.connection.take();
        let connection = match used.filter(|(_, used)| used.elapsed() < IDLE) {
            Some((connection, _)) => connection,
            None => work.open(&self.token).await?,
        };
        let (connection, _) = self.connection.insert((connection, Instant::now()));
        Ok(connection)
    }
}

/// Caller of a request.
#[derive(Debug, Clone, Copy)]
enum By {
    Ward,
    Reader,
}

impl Case<'_> {
    async fn ordered(&mut self, patient: Uuid) -> anyhow::Result<()> {
        let order = order(&self.work.procedure, patient);
        let order = self.command(By::Ward, "POST", ORDERS, &order).await?;
        let place = format!("{ORDERS}/{}", text(&order, "id")?);
        let scheduled = json!({ "status": "scheduled" });
        let order = self.command(By::Ward, "PATCH", &place, &scheduled).await?;
        locked(self.figures).left(&order);
        let own = format!("{ORDERS}?patient_id={patient}");
        self.lists(By::Ward, &own, |rows| rows == [order.clone()])
            .await?;
        let newest = format!("{ORDERS}?limit=50");
        self.lists(By::Ward, &newest, |rows| rows.contains(&order))
            .await?;
        let ward_order = self.work.ward_order.clone();
        let bed = json!({ "metadata": { "bed": clock::fresh_id() } });
        self.command(By::Ward, "PATCH", &ward_order, &bed).await?;
        Ok(())
    }

    /// Returns the ids of the study and of its case, which appears on the worklist later.
    async fn imaged(&mut self, patient: Uuid) -> anyhow::Result<(String, String)> {
        let study = json!({
            "pacs_endpoint_code": "MAIN", "patient_id": patient, "modality_code": "CT",
            "study_instance_uid": format!("2.25.{}", clock::fresh_id().as_u128()),
        });
        let path = "/pacs/studies/sync";
        let study = self.command(By::Ward, "POST", path, &study).await?;
        let study = text(&study, "id")?;
        let synced = Instant::now();
        let own = format!("{ITEMS}?status=all&imaging_study_id={study}");
        loop {
            let rows = self.listed(By::Reader, &own).await?;
            if let [item] = rows.as_slice() {
                let item = text(item, "id")?;
                locked(self.figures).took(Which::Followed, synced.elapsed());
                return Ok((study, item));
            }
            if synced.elapsed() >= FOLLOW_TIMEOUT {
                bail!("{own}: {} rows", rows.len());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn claimed(&mut self, study: &str, item: &str) -> anyhow::Result<()> {
        let own = format!("{ITEMS}?status=all&imaging_study_id={study}");
        for step in ["claim", "release", "claim"] {
            let path = format!("{ITEMS}/{item}/{step}");
            let moved = self.command(By::Reader, "POST", &path, &json!({})).await?;
            self.lists(By::Reader, &own, |rows| is_only(rows, &moved))
                .await?;
        }
        Ok(())
    }

    async fn reported(&mut self, patient: Uuid, study: &str) -> anyhow::Result<()> {
        let report = json!({
            "imaging_study_id": study, "patient_id": patient, "impression": "acute stroke",
        });
        let report = self.command(By::Reader, "POST", REPORTS, &report).await?;
        let place = format!("{REPORTS}/{}", text(&report, "id")?);
        let findings = json!({ "findings": "a dense artery sign on the left" });
        self.command(By::Reader, "PATCH", &place, &findings).await?;
        let sign = format!("{place}/sign");
        let signed = self.command(By::Reader, "POST", &sign, &json!({})).await?;
        let own = format!("{REPORTS}?imaging_study_id={study}");
        self.lists(By::Reader, &own, |rows| is_only(rows, &signed))
            .await
    }

    /// Sends a command, which must succeed, and returns the resource after it.
    async fn command(
        &mut self,
        by: By,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let body = body.to_string();
        let answer = self.timed(Which::Command, by, method, path, &body).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    async fn listed(&mut self, by: By, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.timed(Which::List, by, "GET", path, "").await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Reads a list and checks it.
    async fn lists(
        &mut self,
        by: By,
        path: &str,
        is_right: impl Fn(&[Value]) -> bool,
    ) -> anyhow::Result<()> {
        let rows = self.listed(by, path).await?;
        if !is_right(&rows) {
            let rows = rows.len();
            let wrong = format!("GET {path}: {rows} rows that are not what was written");
            locked(self.figures).wrong.push(wrong);
        }
        Ok(())
    }

    async fn timed(
        &mut self,
        which: Which,
        by: By,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<BenchResponse> {
        let due = self.due.take().unwrap_or_else(Instant::now);
        let caller = match by {
            By::Ward => &mut self.ward,
            By::Reader => &mut self.reader,
        };
        let sent = async {
            caller
                .connection(self.work)
                .await?
                .send(method, path, body)
                .await
        };
        let answer = timeout(ANSWER_TIMEOUT, sent).await;
        locked(self.figures).took(which, due.elapsed());
        let answer = answer.with_context(|| format!("{method} {path}: no answer"))?;
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        if !matches!(answer.status, 200 | 201) {
            let told = String::from_utf8_lossy(&answer.body);
            bail!("{method} {path}: {} {told}", answer.status);
        }
        Ok(answer)
    }
}

/// Returns whether the list contains only this resource, in this version or a later one: policies may change the
/// resource.
fn is_only(rows: &[Value], resource: &Value) -> bool {
    let version = |of: &Value| of.get("version").and_then(Value::as_u64);
    match rows {
        [row] if row.get("version") == resource.get("version") => {
            row.get("id") == resource.get("id") && row.get("status") == resource.get("status")
        }
        [row] => row.get("id") == resource.get("id") && version(row) > version(resource),
        [] | [_, ..] => false,
    }
}

fn text(resource: &Value, member: &str) -> anyhow::Result<String> {
    let text = resource.get(member).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {member}"))?.to_owned())
}
