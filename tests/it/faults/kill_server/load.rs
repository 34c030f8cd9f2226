//! Clients that create orders and change their status, one request after the other, and record the outcome of each.

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::OrderId;
use roentgen_store::clock;
use roentgen_tests::{TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::fresh;

/// Outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    /// Sent without a response.
    Unknown,
    /// Acknowledged, with this body.
    Done(String),
    /// Not acknowledged: the response said that nothing was written.
    NotWritten,
}

/// Request, which may be sent several times if it has a key.
#[derive(Debug)]
pub(super) struct RecordedRequest {
    method: Method,
    path: String,
    body: Value,
    pub(super) key: Option<String>,
    pub(super) fate: RequestOutcome,
    /// Time of the first retry after a kill, in milliseconds since the epoch.
    pub(super) repeated_at: Option<i64>,
}

/// Order as its client knows it.
#[derive(Debug)]
pub(super) struct Order {
    /// Accession number given by the client; `None` if the server generates one.
    pub(super) accession: Option<String>,
    expected: Option<Uuid>,
    pub(super) create: RecordedRequest,
    /// Transitions to scheduled, in progress and completed that were sent so far.
    pub(super) moves: Vec<RecordedRequest>,
}

pub(super) const STEPS: [(&str, &str); 3] = [
    ("scheduled", "ImagingOrder.Scheduled"),
    ("in_progress", "ImagingOrder.InProgress"),
    ("completed", "ImagingOrder.Completed"),
];

#[derive(Debug)]
pub(super) struct OrderClient {
    number: u32,
    tenant: Uuid,
    procedure: String,
    pub(super) orders: Vec<Order>,
}

/// The server is not reachable.
struct ServerGone;

impl RecordedRequest {
    fn new(method: Method, path: String, body: Value, keyed: bool) -> Self {
        Self {
            method,
            path,
            body,
            key: keyed.then(|| fresh().to_string()),
            fate: RequestOutcome::Unknown,
            repeated_at: None,
        }
    }

    async fn ask(&self, client: &TestClient) -> Result<TestResponse, ServerGone> {
        let client = match &self.key {
            Some(key) => client.with("idempotency-key", key),
            None => client.clone(),
        };
        let body = self.body.to_string().into_bytes();
        let answer = client.send(self.method.clone(), &self.path, body).await;
        answer.map_err(|_| ServerGone)
    }

    /// Sends the request and records the outcome. Returns `false` if the server is not reachable.
    async fn send(&mut self, client: &TestClient) -> Result<bool> {
        let Ok(answer) = self.ask(client).await else {
            return Ok(false);
        };
        let sent_before = self.repeated_at.is_some();
        self.fate = match (answer.status, answer.code().as_str()) {
            (200 | 201, _) => RequestOutcome::Done(answer.text),
            (503, "outcome_unknown") => RequestOutcome::Unknown,
            // Nothing was written by this attempt; an earlier one may have written.
            (503, _) if sent_before => RequestOutcome::Unknown,
            (503, _) => RequestOutcome::NotWritten,
            _ => bail!("{} {}: {answer:?}", self.method, self.path),
        };
        Ok(true)
    }

    fn is_open(&self) -> bool {
        self.key.is_some() && self.fate == RequestOutcome::Unknown
    }
}

impl Order {
    fn requests(&mut self) -> impl Iterator<Item = &mut RecordedRequest> {
        std::iter::once(&mut self.create).chain(&mut self.moves)
    }

    /// Returns the order's id: from the accession number if the client gave one, else from the response.
    pub(super) fn id(&self) -> Option<Uuid> {
        let RequestOutcome::Done(answer) = &self.create.fate else {
            return self.expected;
        };
        let answer: Value = serde_json::from_str(answer).ok()?;
        answer.get("id")?.as_str()?.parse().ok()
    }

    fn can_be_moved(&self) -> bool {
        let last = self.moves.last().unwrap_or(&self.create);
        matches!(last.fate, RequestOutcome::Done(_)) && self.moves.len() < STEPS.len()
    }
}

impl OrderClient {
    pub(super) fn new(number: u32, tenant: Uuid, procedure: &str) -> Self {
        Self {
            number,
            tenant,
            procedure: procedure.to_owned(),
            orders: Vec::new(),
        }
    }

    /// Works until the server is not reachable: first retries open requests, then sends new orders and transitions.
    pub(super) async fn work(&mut self, client: &TestClient) -> Result<()> {
        if !self.repeat(client).await? {
            return Ok(());
        }
        loop {
            let order = self.new_order()?;
            self.orders.push(order);
            if let Some(order) = self.orders.last_mut()
                && !order.create.send(client).await?
            {
                return Ok(());
            }
            let recent = self.orders.iter_mut().rev().take(4);
            for order in recent.filter(|order| order.can_be_moved()) {
                let (status, _) = STEPS.get(order.moves.len()).copied().unwrap_or_default();
                let path = format!("/imaging/orders/{}", order.id().context("no id")?);
                let keyed = order.create.key.is_none();
                let step =
                    RecordedRequest::new(Method::PATCH, path, json!({ "status": status }), keyed);
                order.moves.push(step);
                if let Some(step) = order.moves.last_mut()
                    && !step.send(client).await?
                {
                    return Ok(());
                }
            }
        }
    }

    /// Returns a new order. Every second one has a key, every fourth a generated accession number, for which only the
    /// key prevents a duplicate order.
    fn new_order(&self) -> Result<Order> {
        let number = self.orders.len();
        let mut body = json!({
            "patient_id": fresh(), "imaging_procedure_id": self.procedure,
            "indication": "seen under load", "patient": { "birth_date": "1970-01-31" },
        });
        let mut accession = None;
        let mut expected = None;
        if !number.is_multiple_of(4) {
            let given = format!("C{}-{number}", self.number);
            let id = OrderId::derive(self.tenant.into(), &AccessionNumber::parse(&given)?);
            let members = body.as_object_mut().context("no object")?;
            members.insert("accession_number".to_owned(), given.as_str().into());
            (accession, expected) = (Some(given), Some(id.as_uuid()));
        }
        let keyed = number.is_multiple_of(2);
        Ok(Order {
            accession,
            expected,
            create: RecordedRequest::new(Method::POST, "/imaging/orders".to_owned(), body, keyed),
            moves: Vec::new(),
        })
    }

    /// Retries every unanswered request with a key. Returns `false` if the server is not reachable.
    async fn repeat(&mut self, client: &TestClient) -> Result<bool> {
        let open = self.orders.iter_mut().flat_map(Order::requests);
        for request in open.filter(|request| request.is_open()) {
            request.repeated_at.get_or_insert_with(clock::now_ms);
            if !request.send(client).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Retries until every request with a key is answered.
    pub(super) async fn settle(&mut self, client: &TestClient) -> Result<()> {
        for _ in 0..10 {
            self.repeat(client).await?;
            let mut all = self.orders.iter_mut().flat_map(Order::requests);
            if !all.any(|request| request.is_open()) {
                return Ok(());
            }
        }
        bail!("clerk {} is not answered", self.number)
    }

    /// Checks that a retry of an answered creation gets the same response, regardless of later changes of the order.
    pub(super) async fn ask_again(&self, client: &TestClient) -> Result<()> {
        let keyed = self
            .orders
            .iter()
            .filter(|order| order.create.key.is_some());
        for order in keyed.rev().take(10) {
            let again = order.create.ask(client).await;
            let Ok(again) = again else {
                bail!("the server is gone")
            };
            assert_eq!(
                RequestOutcome::Done(again.text),
                order.create.fate,
                "{order:?}"
            );
        }
        Ok(())
    }
}
