//! Another tenant's ids: they cost what unknown ids cost, statement for statement, so that no clock tells them apart.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use roentgen_tests::{Client, Engine, poll};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::story::{House, fresh, on_both_engines};
use crate::workflow::whole::{Catalog, Whole, Words, play_again};

on_both_engines!(foreign_id_costs_what_an_unknown_id_costs);

/// What is counted on behalf of tenants: statements and what they found, keys that were asked for, sealed parts opened.
const COUNTERS: [&str; 4] = [
    "roentgen_tenant_reads_total ",
    "roentgen_tenant_read_rows_total ",
    "roentgen_key_lookups_total ",
    "roentgen_sealed_parts_opened_total ",
];
const QUIET_TIMEOUT: Duration = Duration::from_secs(30);

/// A request with an id in it, wherever it stands.
struct Ask {
    method: Method,
    path: String,
    body: Option<Value>,
}

fn get(path: String) -> Ask {
    Ask {
        method: Method::GET,
        path,
        body: None,
    }
}

fn post(path: impl Into<String>, body: Value) -> Ask {
    Ask {
        method: Method::POST,
        path: path.into(),
        body: Some(body),
    }
}

fn patch(path: impl Into<String>, body: Value) -> Ask {
    Ask {
        method: Method::PATCH,
        path: path.into(),
        body: Some(body),
    }
}

/// The ids of one tenant, or ids that nobody has.
struct Ids {
    patient: Uuid,
    order: String,
    study: String,
    item: String,
    task: String,
    output: String,
    report: String,
    model: String,
    template: String,
    procedure: String,
    modality: String,
}

impl Ids {
    async fn of(house: &House, whole: &Whole) -> Result<Self> {
        let first = async |path: &str| -> Result<String> {
            let ids = house.client.get(path).await?.ids();
            ids.into_iter().next().context("an empty list")
        };
        let last = |place: &str| place.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self {
            patient: whole.patient,
            order: last(&whole.order),
            study: last(&whole.study),
            item: last(&whole.item),
            task: last(&whole.task),
            output: last(&whole.outputs[0]),
            report: last(&whole.report),
            model: first("/imaging-ai/models").await?,
            template: first("/radiology/templates").await?,
            procedure: house.procedure.clone(),
            modality: first("/imaging/modalities").await?,
        })
    }

    fn unknown() -> Self {
        let id = || fresh().to_string();
        Self {
            patient: fresh(),
            order: id(),
            study: id(),
            item: id(),
            task: id(),
            output: id(),
            report: id(),
            model: id(),
            template: id(),
            procedure: id(),
            modality: id(),
        }
    }

    /// Every route with an id, in its path, its query or its body.
    fn asks(&self, head: u64) -> Vec<Ask> {
        let mut asks = self.reads(head);
        asks.extend(self.changes());
        asks.extend(self.references());
        asks
    }

    fn reads(&self, head: u64) -> Vec<Ask> {
        let with_past = [
            format!("/imaging/modalities/{}", self.modality),
            format!("/imaging/procedures/{}", self.procedure),
            format!("/imaging/orders/{}", self.order),
            format!("/pacs/studies/{}", self.study),
            format!("/radiology/worklist/items/{}", self.item),
            format!("/radiology/templates/{}", self.template),
            format!("/radiology/reports/{}", self.report),
            format!("/imaging-ai/models/{}", self.model),
            format!("/imaging-ai/tasks/{}", self.task),
            format!("/imaging-ai/outputs/{}", self.output),
        ];
        let past = with_past.iter().map(|path| format!("{path}?as_of={head}"));
        let others = [
            format!("/radiology/reports/{}/addenda", self.report),
            format!("/pacs/studies/{}/viewer-launch", self.study),
            format!("/patients/{}/timeline", self.patient),
            format!("/pacs/series?imaging_study_id={}", self.study),
            format!("/events?phi=true&stream_id={}", self.study),
            format!("/events?phi=true&patient_id={}", self.patient),
        ];
        let paths: Vec<String> = past.chain(others).collect();
        with_past.into_iter().chain(paths).map(get).collect()
    }

    fn changes(&self) -> Vec<Ask> {
        let name = || json!({ "name": "another" });
        let report = format!("/radiology/reports/{}", self.report);
        let item = format!("/radiology/worklist/items/{}", self.item);
        let ended = json!({ "ended_at": "2026-01-31T09:00:00Z" });
        let metadata = json!({ "metadata": { "n": 1 } });
        vec![
            patch(format!("/imaging/modalities/{}", self.modality), name()),
            patch(format!("/imaging/procedures/{}", self.procedure), name()),
            patch(format!("/imaging/orders/{}", self.order), metadata),
            patch(format!("/pacs/studies/{}", self.study), ended),
            patch(item, json!({ "status": "pending" })),
            patch(format!("/radiology/templates/{}", self.template), name()),
            patch(format!("/imaging-ai/models/{}", self.model), name()),
            patch(report.as_str(), json!({ "findings": "none" })),
            post(format!("{report}/cancel"), json!({ "reason": "none" })),
        ]
    }

    fn references(&self) -> Vec<Ask> {
        vec![
            post(
                "/imaging/orders",
                json!({ "patient_id": fresh(), "imaging_procedure_id": self.procedure,
                    "indication": "none" }),
            ),
            post(
                "/imaging/procedures",
                json!({ "code": "X", "name": "X", "modality_id": self.modality }),
            ),
            post(
                "/radiology/worklist/items",
                json!({ "imaging_study_id": self.study, "patient_id": self.patient,
                    "modality_code": "CT" }),
            ),
            post(
                "/radiology/reports",
                json!({ "imaging_study_id": self.study }),
            ),
            post(
                "/imaging-ai/tasks",
                json!({ "imaging_study_id": self.study, "ai_model_id": self.model,
                    "task_type": "triage" }),
            ),
        ]
    }
}

async fn foreign_id_costs_what_an_unknown_id_costs(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let (catalog, words) = (Catalog::furnish(&house).await?, Words::default());
    let whole = play_again(&house, &catalog, &words).await?;
    let (foreign, operator) = (Ids::of(&house, &whole).await?, house.operator()?);
    quiet(&operator).await?;
    let stranger = Client::dev(&house.server.base, fresh());
    let head = house.client.get(&whole.order).await?.number("log-position");
    let mut differ = Vec::new();
    for (one, other) in foreign.asks(head).iter().zip(Ids::unknown().asks(head)) {
        let found = asked(&stranger, &operator, one).await?;
        let expected = asked(&stranger, &operator, &other).await?;
        let (method, path) = (&one.method, &one.path);
        if found != expected || found.0 >= 500 {
            differ.push(format!(
                "{method} {path}: {found:?}, of an unknown id {expected:?}"
            ));
        }
    }
    assert!(differ.is_empty(), "{COUNTERS:?}: {differ:#?}");
    Ok(())
}

/// The status, the problem's code, and what the counters counted meanwhile.
async fn asked(stranger: &Client, operator: &Client, ask: &Ask) -> Result<(u16, String, [u64; 4])> {
    let before = counted(operator).await?;
    let body = match &ask.body {
        None => Vec::new(),
        Some(body) => serde_json::to_vec(body)?,
    };
    let answer = stranger.send(ask.method.clone(), &ask.path, body).await?;
    let after = counted(operator).await?;
    let cost = std::array::from_fn(|n| after[n] - before[n]);
    Ok((answer.status, answer.code(), cost))
}

async fn counted(operator: &Client) -> Result<[u64; 4]> {
    let text = operator.get("/metrics").await?.text;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    };
    Ok(COUNTERS.map(value))
}

/// Until policies have nothing to do any more, and the counters stand.
async fn quiet(operator: &Client) -> Result<()> {
    let lag = async || -> Result<String> {
        let text = operator.get("/metrics").await?.text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("roentgen_policy_lag_events "));
        Ok(line.unwrap_or_default().to_owned())
    };
    let done = |lag: &Result<String>| lag.as_ref().is_ok_and(|lag| lag == "0");
    poll::until("the policies' lag", QUIET_TIMEOUT, lag, done).await??;
    Ok(())
}
