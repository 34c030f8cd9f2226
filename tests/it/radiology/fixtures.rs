//! Fixtures of the worklist tests: cases and radiologists.

use std::time::Duration;

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roentgen_commands::{CommandEnvelope, CommandError, Executor, UnitOfWork, UseCase};
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{StreamId, TenantId, WorklistItemId};
use roentgen_domain::order::Priority;
use roentgen_domain::worklist_item::{CaseDetails, Command, NewItem, WorklistItem};
use roentgen_domain::{Actor, Versioned};
use roentgen_store::database::{self, Store};
use roentgen_store::keys::MasterKey;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_tests::poll::wait_until;
use roentgen_tests::{EngineKind, Server, TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::log_head;
use crate::test_app::{MASTER_KEY, SECRET, TestApp, fresh, serve};

pub(super) const ITEMS: &str = "/radiology/worklist/items";
pub(super) const PROFILES: &str = "/radiology/reading-profiles";

const ARGUMENTS: [&str; 3] = ["--dev", "--master-key", MASTER_KEY];

/// Server, and an executor for the system commands that put studies on its worklist.
pub(super) struct WorklistApp {
    executor: Executor,
    _tasks: BackgroundTasks,
    pub(super) house: TestApp,
}

/// Case on the worklist.
#[derive(Debug, Clone)]
pub(super) struct WorklistCase {
    pub(super) id: Uuid,
    pub(super) study: Uuid,
    /// Path of the case.
    pub(super) place: String,
}

/// Radiologist with a client.
#[derive(Debug, Clone)]
pub(super) struct RadiologistClient {
    pub(super) id: Uuid,
    pub(super) client: TestClient,
}

/// Use case that puts a study on the worklist, as a policy does.
struct Put(NewItem);

impl UseCase for Put {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        None
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::derive(self.0.case.imaging_study_id);
        let create = Command::Create(Box::new(self.0.clone()));
        work.create::<WorklistItem>(id, create).await
    }
}

impl WorklistApp {
    pub(super) async fn open(engine: EngineKind) -> Result<Self> {
        Self::open_with(engine, &[]).await
    }

    /// Starts a server with additional arguments.
    pub(super) async fn open_with(engine: EngineKind, further: &[&str]) -> Result<Self> {
        let house = TestApp::open_with(engine, &[&ARGUMENTS, further].concat()).await?;
        let log = database::DatabaseUrl::parse(&house.database.url)?;
        let log = log.connect().await?;
        let tasks = BackgroundTasks::new();
        let store = Store::start(log, MasterKey::parse(MASTER_KEY)?, &tasks).await?;
        Ok(Self {
            executor: Executor::new(store),
            _tasks: tasks,
            house,
        })
    }

    /// Starts another server on the same database.
    pub(super) async fn neighbour(&self) -> Result<Server> {
        serve(&self.house.database, &ARGUMENTS).await
    }

    /// Executes a use case of the system.
    pub(super) async fn system<U: UseCase>(&self, use_case: &U) -> Result<Versioned<U::Aggregate>> {
        let request = CommandEnvelope {
            tenant_id: self.house.tenant.into(),
            actor: Actor::system(),
            correlation_id: fresh().into(),
            causation_id: None,
            if_match: None,
            idempotency: None,
        };
        let outcome = self.executor.execute(&request, use_case).await?;
        self.told(outcome.position).await?;
        Ok(outcome.resource)
    }

    /// Waits until the server knows the log up to this position.
    pub(super) async fn told(&self, position: u64) -> Result<()> {
        let known = || async { log_head(&self.house.client).await.unwrap_or_default() };
        let known = wait_until("the head", Duration::from_secs(10), known, |number| {
            *number >= position
        });
        known.await.map(drop)
    }

    /// Creates a case; by default a routine CT of the head.
    pub(super) async fn item(&self, members: Value) -> Result<WorklistCase> {
        let study = fresh();
        let word =
            |name: &str, otherwise: &str| members[name].as_str().unwrap_or(otherwise).to_owned();
        let new = NewItem {
            patient_id: fresh().into(),
            case: CaseDetails {
                imaging_study_id: study.into(),
                imaging_order_id: None,
                modality_code: ModalityCode::parse(&word("modality_code", "CT"))?,
                body_part: Some(BodyPart::parse(&word("body_part", "HEAD"))?),
                accession_number: None,
                description: None,
            },
            priority: Priority::parse(&word("priority", "routine")).unwrap_or_default(),
            attention: Vec::new(),
            patient: None,
        };
        let item = self.system(&Put(new)).await?;
        let id = item.id.as_uuid();
        Ok(WorklistCase {
            id,
            study,
            place: format!("{ITEMS}/{id}"),
        })
    }

    pub(super) async fn items(&self, count: usize) -> Result<Vec<WorklistCase>> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.item(json!({})).await?);
        }
        Ok(items)
    }

    /// Returns a client of this tenant with this role.
    pub(super) fn person(&self, role: &str, practitioner: Option<Uuid>) -> Result<TestClient> {
        let mut claims = json!({
            "sub": practitioner.map_or_else(|| role.to_owned(), |id| id.to_string()),
            "exp": 4_000_000_000_u64, "tenant_id": self.house.tenant, "roles": [role],
        });
        if let Some(practitioner) = practitioner {
            claims["practitioner_id"] = json!(practitioner);
        }
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &claims, &key)?;
        Ok(TestClient::new(&self.house.server.base).bearer(&token))
    }

    pub(super) fn radiologist(&self) -> Result<RadiologistClient> {
        let id = fresh();
        let client = self.person("radiologist", Some(id))?;
        Ok(RadiologistClient { id, client })
    }

    /// Creates a radiologist with this reading profile.
    pub(super) async fn radiologist_with(&self, profile: Value) -> Result<RadiologistClient> {
        let radiologist = self.radiologist()?;
        let own = json!({ "practitioner_id": radiologist.id });
        let profile = crate::test_app::with(own, profile);
        let created = self.house.setup().post(PROFILES, &profile).await?;
        assert_eq!(created.status, 201, "{created:?}");
        Ok(radiologist)
    }

    /// Returns the open cases in the last event of a caseload.
    pub(super) async fn open_cases(&self, radiologist: Uuid) -> Result<Vec<String>> {
        let events = "/events?stream_type=RadiologistCaseload&limit=5000";
        let events = self.house.client.get(events).await?.lines();
        let own = events
            .iter()
            .rfind(|event| event["data"]["radiologist_id"] == json!(radiologist));
        let cases = own.and_then(|value| value["data"]["open_cases"].as_array().cloned());
        let id = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(cases.unwrap_or_default().iter().map(id).collect())
    }
}

impl RadiologistClient {
    /// Returns the radiologist with a client that retries.
    pub(super) fn repeating(&self) -> Self {
        Self {
            client: self.client.repeating(),
            ..self.clone()
        }
    }

    pub(super) async fn claim(&self, item: &WorklistCase) -> Result<TestResponse> {
        let path = format!("{}/claim", item.place);
        self.client
            .send(reqwest::Method::POST, &path, Vec::new())
            .await
    }

    pub(super) async fn release(&self, item: &WorklistCase) -> Result<TestResponse> {
        let path = format!("{}/release", item.place);
        self.client
            .send(reqwest::Method::POST, &path, Vec::new())
            .await
    }

    pub(super) async fn moves(&self, item: &WorklistCase, status: &str) -> Result<TestResponse> {
        self.client
            .patch(&item.place, &json!({ "status": status }))
            .await
    }

    /// Returns the radiologist with a client for another server.
    pub(super) fn towards(&self, server: &Server) -> Self {
        Self {
            id: self.id,
            client: self.client.with_base_url(&server.base),
        }
    }
}

/// Checks that the response is 200.
pub(super) fn done(answer: &TestResponse) {
    assert_eq!(answer.status, 200, "{answer:?}");
}
