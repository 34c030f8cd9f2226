//! Workload of many concurrent patients: ordered, imaged, triaged, claimed, reported and signed. Each step is a command
//! and a read on another node that has to show it.

use anyhow::{Context as _, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use roentgen_domain::ai_model::TaskType;
use roentgen_domain::ai_task::task_id;
use roentgen_domain::codes::AiModelCode;
use roentgen_domain::dicom::Uid;
use roentgen_domain::ids::{AiModelId, StudyId, TenantId, WorklistItemId};
use roentgen_tests::TestResponse;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::failover_client::FailoverClient;
use crate::faults::kill_policies::load::MODELS;
use crate::test_app::{SECRET, fresh};

/// Number of patients that a client handles concurrently.
const OPEN: usize = 4;

const ORDERS: &str = "/imaging/orders";
const STUDIES: &str = "/pacs/studies";
const ITEMS: &str = "/radiology/worklist/items";
const REPORTS: &str = "/radiology/reports";

/// Next step of a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkloadStep {
    Order,
    Sync,
    Outputs,
    Claim,
    Begin,
    Edit,
    Sign,
    Done,
}

/// Patient with everything that was acknowledged for it.
#[derive(Debug)]
pub(crate) struct PatientRecord {
    id: Uuid,
    accession: String,
    uid: String,
    pub(super) order: Option<Uuid>,
    pub(super) study: StudyId,
    pub(super) tasks: Vec<Uuid>,
    open_tasks: Vec<Uuid>,
    radiologist: Uuid,
    reader: FailoverClient,
    pub(super) report: Option<Uuid>,
    pub(super) step: WorkloadStep,
}

/// Client with all its patients.
#[derive(Debug)]
pub(crate) struct PatientWorkload {
    caller: FailoverClient,
    tenant: Uuid,
    procedure: String,
    pub(crate) patients: Vec<PatientRecord>,
}

impl PatientWorkload {
    pub(crate) fn new(caller: FailoverClient, tenant: Uuid, procedure: &str) -> Self {
        Self {
            caller,
            tenant,
            procedure: procedure.to_owned(),
            patients: Vec::new(),
        }
    }

    /// Adds patients until it is cancelled, then completes the remaining steps of the existing ones.
    pub(crate) async fn work(mut self, enough: CancellationToken) -> Result<Self> {
        loop {
            let open = self
                .patients
                .iter_mut()
                .filter(|record| record.step != WorkloadStep::Done);
            let mut open: Vec<&mut PatientRecord> = open.collect();
            if enough.is_cancelled() && open.is_empty() {
                return Ok(self);
            }
            for patient in &mut open {
                let step = patient.step;
                let went = patient.go_on(&self.caller, &self.procedure).await;
                went.with_context(|| format!("{step:?} of {}", patient.id))?;
            }
            if !enough.is_cancelled() && open.len() < OPEN {
                let patient = PatientRecord::new(&self.caller, self.tenant)?;
                self.patients.push(patient);
            }
        }
    }
}

impl PatientRecord {
    fn new(caller: &FailoverClient, tenant: Uuid) -> Result<Self> {
        let uid = format!("2.25.{}", fresh().as_u128());
        let of: TenantId = tenant.into();
        let study = StudyId::derive(of, &Uid::parse(&uid)?);
        let mut tasks = Vec::new();
        for code in MODELS {
            let model = AiModelId::derive(of, &AiModelCode::parse(code)?);
            tasks.push(task_id(study, model, TaskType::Triage, 1).as_uuid());
        }
        let radiologist = fresh();
        Ok(Self {
            id: fresh(),
            accession: fresh().simple().to_string()[20..].to_owned(),
            uid,
            order: None,
            study,
            open_tasks: tasks.clone(),
            tasks,
            radiologist,
            reader: caller.bearer(&token(tenant, radiologist)?),
            report: None,
            step: WorkloadStep::Order,
        })
    }

    pub(super) fn item(&self) -> Uuid {
        WorklistItemId::derive(self.study).as_uuid()
    }

    async fn go_on(&mut self, caller: &FailoverClient, procedure: &str) -> Result<()> {
        self.step = match self.step {
            WorkloadStep::Order => self.is_ordered(caller, procedure).await?,
            WorkloadStep::Sync => self.is_imaged(caller).await?,
            WorkloadStep::Outputs => self.is_triaged(caller).await?,
            WorkloadStep::Claim => self.is_claimed().await?,
            WorkloadStep::Begin => self.report_begins().await?,
            WorkloadStep::Edit => self.report_is_edited().await?,
            WorkloadStep::Sign => self.report_is_signed().await?,
            WorkloadStep::Done => WorkloadStep::Done,
        };
        Ok(())
    }

    async fn is_ordered(
        &mut self,
        caller: &FailoverClient,
        procedure: &str,
    ) -> Result<WorkloadStep> {
        let order = json!({
            "patient_id": self.id, "imaging_procedure_id": procedure, "priority": "urgent",
            "indication": "seen under load", "accession_number": self.accession,
        });
        let order = caller.command(Method::POST, ORDERS, &order).await?;
        ensure!(order.status == 201, "{order:?}");
        let listed = format!("{ORDERS}?accession_number={}", self.accession);
        shows(caller, &listed, &order).await?;
        self.order = Some(order.text_at("/id").parse()?);
        Ok(WorkloadStep::Sync)
    }

    async fn is_imaged(&self, caller: &FailoverClient) -> Result<WorkloadStep> {
        let study = json!({
            "pacs_endpoint_code": "MAIN_PACS", "study_instance_uid": self.uid,
            "patient_id": self.id, "modality_code": "CT", "accession_number": self.accession,
            "series": [{ "series_instance_uid": format!("{}.1", self.uid), "series_number": 1 }],
        });
        let sync = format!("{STUDIES}/sync");
        let study = caller.command(Method::POST, &sync, &study).await?;
        ensure!(study.status == 201, "{study:?}");
        let listed = format!("{STUDIES}?study_instance_uid={}", self.uid);
        shows(caller, &listed, &study).await?;
        Ok(WorkloadStep::Outputs)
    }

    /// Answers the tasks that already exist.
    async fn is_triaged(&mut self, caller: &FailoverClient) -> Result<WorkloadStep> {
        for task in self.open_tasks.clone() {
            let output = json!({
                "imaging_ai_task_id": task, "output_type": "triage",
                "payload": { "triage_score": 0.7, "flags": ["blood"] },
            });
            let outputs = "/imaging-ai/outputs";
            let output = caller.command(Method::POST, outputs, &output).await?;
            if output.status == 404 {
                return Ok(WorkloadStep::Outputs);
            }
            ensure!(output.status == 201, "{output:?}");
            let listed = format!("{outputs}?imaging_ai_task_id={task}");
            shows(caller, &listed, &output).await?;
            self.open_tasks.retain(|open_task| *open_task != task);
        }
        Ok(WorkloadStep::Claim)
    }

    async fn is_claimed(&self) -> Result<WorkloadStep> {
        let claim = format!("{ITEMS}/{}/claim", self.item());
        let item = self
            .reader
            .command(Method::POST, &claim, &json!({}))
            .await?;
        if item.status == 404 {
            return Ok(WorkloadStep::Claim);
        }
        ensure!(item.status == 200, "{item:?}");
        let listed = format!("{ITEMS}?status=all&imaging_study_id={}", self.study);
        let shown = shows(&self.reader, &listed, &item).await?;
        ensure!(
            shown["assigned_radiologist_id"] == json!(self.radiologist),
            "{shown}"
        );
        Ok(WorkloadStep::Begin)
    }

    async fn report_begins(&mut self) -> Result<WorkloadStep> {
        let report = json!({
            "imaging_study_id": self.study, "patient_id": self.id, "findings": "none yet",
        });
        let report = self.reader.command(Method::POST, REPORTS, &report).await?;
        ensure!(report.status == 201, "{report:?}");
        self.report_shows(&report).await?;
        self.report = Some(report.text_at("/id").parse()?);
        Ok(WorkloadStep::Edit)
    }

    async fn report_is_edited(&self) -> Result<WorkloadStep> {
        let edit = json!({ "impression": "no bleeding" });
        let place = self.place()?;
        let report = self.reader.command(Method::PATCH, &place, &edit).await?;
        ensure!(report.status == 200, "{report:?}");
        let shown = self.report_shows(&report).await?;
        ensure!(shown["impression"] == json!("no bleeding"), "{shown}");
        Ok(WorkloadStep::Sign)
    }

    async fn report_is_signed(&self) -> Result<WorkloadStep> {
        let sign = format!("{}/sign", self.place()?);
        let report = self.reader.command(Method::POST, &sign, &json!({})).await?;
        ensure!(report.status == 200, "{report:?}");
        let shown = self.report_shows(&report).await?;
        ensure!(shown["status"] == json!("final"), "{shown}");
        Ok(WorkloadStep::Done)
    }

    fn place(&self) -> Result<String> {
        let report = self.report.context("no report")?;
        Ok(format!("{REPORTS}/{report}"))
    }

    async fn report_shows(&self, report: &TestResponse) -> Result<Value> {
        let listed = format!("{REPORTS}?imaging_study_id={}", self.study);
        shows(&self.reader, &listed, report).await
    }
}

/// Checks read-your-writes: a list of another node, read at the command's position, has the command's result or a later
/// version.
async fn shows(caller: &FailoverClient, list: &str, written: &TestResponse) -> Result<Value> {
    let position = written.number("log-position");
    ensure!(position > 0, "{written:?}");
    let read = caller.read(list, position).await?;
    ensure!(read.status == 200, "{read:?}");
    let id = written.text_at("/id");
    let rows = read.json();
    let mut rows = rows.as_array().context("no list")?.iter();
    let row = rows.find(|row| row["id"] == json!(id));
    let row = row.with_context(|| format!("{list} at {position} lacks {id}: {read:?}"))?;
    let version = |value: &Value| value["version"].as_u64().unwrap_or_default();
    ensure!(
        version(row) >= version(&written.json()),
        "{list} at {position}: {read:?}, {written:?}"
    );
    Ok(row.clone())
}

fn token(tenant: Uuid, practitioner: Uuid) -> Result<String> {
    let claims = json!({
        "sub": practitioner, "exp": 4_000_000_000_u64, "tenant_id": tenant,
        "roles": ["radiologist"], "practitioner_id": practitioner,
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
