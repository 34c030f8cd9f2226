//! Actions of the workflow tests, through the API.

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::{EngineKind, TestClient, TestResponse, poll};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, fresh, with};

/// Time limit for all effects of a command, on the slowest machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const REPORTS: &str = "/radiology/reports";

/// Study to be synced.
pub(super) struct Images {
    pub(super) patient: Uuid,
    pub(super) accession: String,
    body: Value,
}

pub(super) async fn open(engine: EngineKind, arguments: &[&str]) -> Result<TestApp> {
    let house = TestApp::open_with(engine, &[&["--dev"], arguments].concat()).await?;
    let archive = json!({ "code": "MAIN", "name": "Main archive", "protocol": "DICOMWEB" });
    done(house.setup().post("/pacs/endpoints", &archive).await?);
    Ok(house)
}

/// Checks that the response is a success.
pub(crate) fn done(answer: TestResponse) -> TestResponse {
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer
}

impl Images {
    pub(super) fn new() -> Self {
        let patient = fresh();
        let accession = fresh().simple().to_string()[20..].to_owned();
        let body = json!({
            "pacs_endpoint_code": "MAIN", "patient_id": patient, "modality_code": "CT",
            "study_instance_uid": format!("2.25.{}", fresh().as_u128()),
            "accession_number": accession,
        });
        Self {
            patient,
            accession,
            body,
        }
    }

    /// Syncs the study; returns its response and the path of its item.
    pub(super) async fn arrive(&self, house: &TestApp) -> Result<(TestResponse, String)> {
        let study = done(house.setup().post("/pacs/studies/sync", &self.body).await?);
        let filter = format!(
            "/radiology/worklist/items?status=all&imaging_study_id={}",
            study.text_at("/id")
        );
        let listed = async || {
            house
                .client
                .get(&filter)
                .await
                .map(|response| response.ids())
                .unwrap_or_default()
        };
        let ids =
            poll::wait_until("the item", WAIT_TIMEOUT, listed, |texts| texts.len() == 1).await?;
        Ok((study, format!("/radiology/worklist/items/{}", ids[0])))
    }

    /// Syncs the study with a new series.
    pub(super) async fn grow(&self, house: &TestApp) -> Result<()> {
        let series = json!([{ "series_instance_uid": format!("2.25.{}", fresh().as_u128()) }]);
        let more = with(self.body.clone(), json!({ "series": series }));
        done(house.setup().post("/pacs/studies/sync", &more).await?);
        Ok(())
    }

    /// Creates an order, by default for the study's patient, and returns its path.
    pub(super) async fn ordered(&self, house: &TestApp, members: Value) -> Result<String> {
        let named = json!({ "patient_id": self.patient, "accession_number": self.accession });
        Ok(house
            .create_order(with(named, members))
            .await?
            .header("location"))
    }

    pub(super) fn report(&self, study: &TestResponse) -> Value {
        json!({ "imaging_study_id": study.text_at("/id"), "patient_id": self.patient,
            "impression": "acute stroke" })
    }
}

/// Waits until a resource meets a condition.
pub(crate) async fn becomes(
    client: &TestClient,
    place: &str,
    is: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let read = async || {
        client
            .get(place)
            .await
            .map(|response| response.json())
            .unwrap_or_default()
    };
    poll::wait_until(place, WAIT_TIMEOUT, read, |value| is(value)).await
}

/// Waits until a member has a value.
pub(crate) async fn has(
    client: &TestClient,
    place: &str,
    member: &str,
    value: Value,
) -> Result<Value> {
    becomes(client, place, |item| item[member] == value).await
}
