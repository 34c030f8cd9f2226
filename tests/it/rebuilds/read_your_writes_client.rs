//! A client that creates orders and studies and knows the expected result of each read.

use anyhow::{Result, ensure};
use roentgen_tests::{TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, fresh};

/// Client that writes to one node and reads from another.
pub(super) struct ReadYourWritesClient {
    writes: TestClient,
    reads_at: TestClient,
    procedure: String,
    /// Number of correct reads.
    pub(super) reads: u32,
}

impl ReadYourWritesClient {
    pub(super) fn new(house: &TestApp, writes: &TestClient, reads_at: &TestClient) -> Self {
        Self {
            writes: writes.clone(),
            reads_at: reads_at.clone(),
            procedure: house.procedure.clone(),
            reads: 0,
        }
    }

    /// Creates an order and advances its status; after each step lists and single reads must show the current state.
    pub(super) async fn works_and_reads(&mut self) -> Result<()> {
        let patient = fresh();
        let order = json!({ "patient_id": patient, "imaging_procedure_id": self.procedure,
            "indication": "rule out acute stroke" });
        let mut order = self.writes.post("/imaging/orders", &order).await?;
        let place = order.header("location");
        ensure!(order.status == 201, "{order:?}");
        for status in ["requested", "scheduled", "in_progress", "completed"] {
            if status != "requested" {
                let status = json!({ "status": status });
                order = self.writes.patch(&place, &status).await?;
            }
            let list = format!("/imaging/orders?patient_id={patient}&status={status}");
            self.finds(&list, &order).await?;
            self.finds_one(&place, &order).await?;
        }
        self.syncs(patient).await
    }

    async fn syncs(&mut self, patient: Uuid) -> Result<()> {
        let uid = format!("2.25.{}", fresh().as_u128());
        let mut series: Vec<Value> = Vec::new();
        for n in 1..4 {
            series.push(json!({ "series_instance_uid": format!("{uid}.{n}"), "series_number": n }));
            let study = json!({ "pacs_endpoint_code": "MAIN", "study_instance_uid": uid,
                "patient_id": patient, "modality_code": "CT", "series": series });
            let study = self.writes.post("/pacs/studies/sync", &study).await?;
            let list = format!("/pacs/studies?study_instance_uid={uid}");
            self.finds(&list, &study).await?;
            let parts = format!("/pacs/series?imaging_study_id={}", study.text_at("/id"));
            let found = self.read(&parts, &study).await?.ids().len();
            ensure!(found == n, "{found} series of {n}");
        }
        Ok(())
    }

    /// Reads at the position that the response acknowledges.
    async fn read(&mut self, place: &str, written: &TestResponse) -> Result<TestResponse> {
        ensure!(matches!(written.status, 200 | 201), "{written:?}");
        let position = written.header("log-position");
        loop {
            let reads_at = self.reads_at.with("min-log-position", &position);
            let read = reads_at.get(place).await?;
            if read.status == 200 {
                self.reads += 1;
                return Ok(read);
            }
            let lags = read.status == 503 && read.code() == "projection_lagging";
            ensure!(lags && !read.header("retry-after").is_empty(), "{read:?}");
        }
    }

    async fn finds(&mut self, list: &str, written: &TestResponse) -> Result<()> {
        let read = self.read(list, written).await?.json();
        ensure!(
            read == json!([written.json()]),
            "{list}: {read} is not {}",
            written.text
        );
        Ok(())
    }

    async fn finds_one(&mut self, place: &str, written: &TestResponse) -> Result<()> {
        let read = self.read(place, written).await?.json();
        ensure!(
            read == written.json(),
            "{place}: {read} is not {}",
            written.text
        );
        Ok(())
    }
}
