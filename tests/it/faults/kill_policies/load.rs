//! Gateways: each sends studies, orders some of them before or after, and sends the results of the AI models.

use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::task_id;
use roentgen_domain::codes::AiModelCode;
use roentgen_domain::dicom::Uid;
use roentgen_domain::ids::{AiModelId, StudyId, TenantId};
use roentgen_tests::{TestClient, TestResponse};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::test_app::fresh;

pub(crate) const MODELS: [&str; 2] = ["HIGH", "LOW"];

/// Creates a PACS endpoint that completes orders, and two models.
pub(crate) async fn furnish(client: &TestClient) -> Result<()> {
    let endpoint = json!({ "code": "MAIN_PACS", "name": "Main archive", "protocol": "DICOMWEB" });
    let endpoint = client.post("/pacs/endpoints", &endpoint).await?;
    ensure!(endpoint.status == 201, "{endpoint:?}");
    for code in MODELS {
        let model = json!({
            "code": code, "name": "finds blood", "modality_code": "CT",
            "capabilities": { "triage": true },
        });
        let model = client.post("/imaging-ai/models", &model).await?;
        ensure!(model.status == 201, "{model:?}");
    }
    Ok(())
}

/// Study as its gateway knows it.
#[derive(Debug)]
pub(super) struct StudyRecord {
    pub(super) id: StudyId,
    body: Value,
    /// Whether the server acknowledged the study.
    pub(super) acknowledged: bool,
    /// Body of its order, if any, and whether the server acknowledged it.
    order: Option<(Value, bool)>,
    /// Tasks without an acknowledged result.
    open_tasks: Vec<Uuid>,
}

#[derive(Debug)]
pub(super) struct Gateway {
    number: u32,
    tenant: TenantId,
    procedure: String,
    pub(super) studies: Vec<StudyRecord>,
}

/// The server is not reachable.
struct Gone;

async fn ask(client: &TestClient, path: &str, body: &Value) -> Result<TestResponse, Gone> {
    client.post(path, body).await.map_err(|_| Gone)
}

impl Gateway {
    pub(super) fn new(number: u32, tenant: Uuid, procedure: &str) -> Self {
        Self {
            number,
            tenant: tenant.into(),
            procedure: procedure.to_owned(),
            studies: Vec::new(),
        }
    }

    /// Sends studies until the server is not reachable or the token is cancelled, with a pause before each study.
    pub(super) async fn work(
        &mut self,
        client: &TestClient,
        pause: Duration,
        enough: &CancellationToken,
    ) -> Result<()> {
        while !enough.is_cancelled() {
            tokio::time::sleep(pause).await;
            let told = self.new_study();
            self.studies.push(told);
            for told in self.studies.iter_mut().rev().take(5) {
                if !told.go_on(client).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Resends everything that was not acknowledged until everything is.
    pub(super) async fn settle(&mut self, client: &TestClient) -> Result<()> {
        for told in &mut self.studies {
            ensure!(told.go_on(client).await?, "the server is gone");
            // The tasks of a study sent just now are created a moment later.
            for _ in 0..500 {
                if told.open_tasks.is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                ensure!(told.go_on(client).await?, "the server is gone");
            }
            ensure!(told.is_done(), "not answered: {told:?}");
        }
        Ok(())
    }

    /// Returns a new study. Every second study has an order, about half of them sent before the study.
    fn new_study(&self) -> StudyRecord {
        let number = self.studies.len();
        let uid = format!("2.25.{}", fresh().as_u128());
        let accession = format!("G{}-{number}", self.number);
        let patient = fresh();
        let body = json!({
            "pacs_endpoint_code": "MAIN_PACS", "study_instance_uid": uid, "patient_id": patient,
            "modality_code": "CT", "accession_number": accession,
            "series": [{ "series_instance_uid": format!("{uid}.1"), "series_number": 1 }],
        });
        let order = json!({
            "patient_id": patient, "imaging_procedure_id": self.procedure,
            "indication": "seen under load", "accession_number": accession, "priority": "stat",
        });
        let id = Uid::parse(&uid).map(|uid| StudyId::derive(self.tenant, &uid));
        let id = id.unwrap();
        let model =
            |code: &&str| AiModelId::derive(self.tenant, &AiModelCode::parse(code).unwrap());
        let tasks = MODELS.iter().map(model);
        let tasks = tasks.map(|task| task_id(id, task, TaskType::Triage, 1).as_uuid());
        StudyRecord {
            id,
            body,
            acknowledged: false,
            order: number.is_multiple_of(2).then_some((order, false)),
            open_tasks: tasks.collect(),
        }
    }
}

impl StudyRecord {
    fn is_done(&self) -> bool {
        let ordered = self.order.as_ref().is_none_or(|(_, done)| *done);
        self.acknowledged && ordered && self.open_tasks.is_empty()
    }

    /// Sends everything that is open once. Returns `false` if the server is not reachable.
    async fn go_on(&mut self, client: &TestClient) -> Result<bool> {
        let order_first = self.id.as_uuid().as_u128().is_multiple_of(2);
        if order_first && !self.tell_order(client).await? {
            return Ok(false);
        }
        if !self.acknowledged {
            let Ok(answer) = ask(client, "/pacs/studies/sync", &self.body).await else {
                return Ok(false);
            };
            ensure!(matches!(answer.status, 200 | 201 | 503), "{answer:?}");
            self.acknowledged = answer.status != 503;
        }
        if !order_first && !self.tell_order(client).await? {
            return Ok(false);
        }
        self.answer_tasks(client).await
    }

    async fn tell_order(&mut self, client: &TestClient) -> Result<bool> {
        let Some((order, done)) = self.order.as_mut().filter(|(_, done)| !done) else {
            return Ok(true);
        };
        let Ok(answer) = ask(client, "/imaging/orders", order).await else {
            return Ok(false);
        };
        ensure!(matches!(answer.status, 201 | 409 | 503), "{answer:?}");
        *done = answer.status != 503;
        Ok(true)
    }

    /// Sends the results of all open tasks. A retry sends the same score, which is derived from the task's id.
    async fn answer_tasks(&mut self, client: &TestClient) -> Result<bool> {
        for task in self.open_tasks.clone() {
            let score = f64::from(u8::try_from(task.as_u128() % 100)?) / 100.0;
            let output = json!({
                "imaging_ai_task_id": task, "output_type": "triage",
                "payload": { "triage_score": score, "flags": ["blood"] },
            });
            let Ok(answer) = ask(client, "/imaging-ai/outputs", &output).await else {
                return Ok(false);
            };
            ensure!(matches!(answer.status, 201 | 404 | 503), "{answer:?}");
            if answer.status == 201 {
                self.open_tasks.retain(|open_task| *open_task != task);
            }
        }
        Ok(true)
    }
}
