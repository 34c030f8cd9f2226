//! Ids derived from a caller's input: an id of one type is never accepted for another type.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_commands::catalog::CreateEntry;
use roentgen_commands::order::CreateOrder;
use roentgen_commands::{CommandEnvelope, CommandError, CommandOutcome, Executor, UseCase};
use roentgen_domain::Actor;
use roentgen_domain::order::{CreatedPhi, Priority};
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::phi::PhiText;
use roentgen_domain::text::Text;
use roentgen_store::database::{self, Store};
use roentgen_store::keys::MasterKey;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_tests::EngineKind;
use serde_json::json;

use crate::assertions::assert_problem;
use crate::test_app::{MASTER_KEY, TestApp, fresh, on_both_engines};

on_both_engines!(
    an_order_of_an_earlier_release_does_not_stop_the_catalog,
    no_order_takes_the_id_of_something_else,
);

/// The program's own commands, executed in this process next to the server.
pub(super) struct Beside {
    pub(super) house: TestApp,
    executor: Executor,
    _tasks: BackgroundTasks,
}

impl Beside {
    pub(super) async fn open(engine: EngineKind) -> Result<Self> {
        let house = TestApp::open_with(engine, &["--dev", "--master-key", MASTER_KEY]).await?;
        let log = database::DatabaseUrl::parse(&house.database.url)?;
        let tasks = BackgroundTasks::new();
        let master = MasterKey::parse(MASTER_KEY)?;
        let store = Store::start(log.connect().await?, master, &tasks).await?;
        Ok(Self {
            house,
            executor: Executor::new(store),
            _tasks: tasks,
        })
    }

    pub(super) async fn does<U: UseCase>(
        &self,
        use_case: &U,
    ) -> Result<CommandOutcome<U::Aggregate>, CommandError> {
        let request = CommandEnvelope {
            tenant_id: self.house.tenant.into(),
            actor: Actor::system(),
            correlation_id: fresh().into(),
            causation_id: None,
            if_match: None,
            idempotency: None,
        };
        self.executor.execute(&request, use_case).await
    }

    /// Returns an order with an accession number, which may be one that clients can no longer send.
    pub(super) fn order(&self, accession_number: &str) -> Result<CreateOrder> {
        Ok(CreateOrder {
            patient_id: fresh().into(),
            encounter_id: None,
            episode_id: None,
            ordering_practitioner_id: None,
            ordering_department_id: None,
            imaging_procedure_id: self.house.procedure.parse::<uuid::Uuid>()?.into(),
            priority: Priority::Routine,
            requested_at: None,
            accession_number: Some(serde_json::from_value(json!(accession_number))?),
            phi: CreatedPhi {
                indication: PhiText::new(Text::parse("chest pain")?),
                patient: None,
                metadata: None,
            },
        })
    }
}

async fn an_order_of_an_earlier_release_does_not_stop_the_catalog(
    engine: EngineKind,
) -> Result<()> {
    let beside = Beside::open(engine).await?;
    let client = &beside.house.client;
    for number in ["PACSEndpoint:CT1", "ImagingAIModel:A", "ImagingStudy:1.2"] {
        beside.does(&beside.order(number)?).await?;
    }
    let endpoint = |code: &str| json!({ "code": code, "name": "n", "protocol": "DICOM" });
    let model = json!({ "code": "A", "name": "n", "capabilities": { "triage": true } });
    let main = client.post("/pacs/endpoints", &endpoint("MAIN")).await?;
    assert_eq!(main.status, 201, "{main:?}");
    let study = |uid: &str, endpoint: &str| {
        json!({ "pacs_endpoint_code": endpoint, "study_instance_uid": uid, "patient_id": fresh(),
            "modality_code": "CT" })
    };
    let taken = [
        ("/pacs/endpoints", endpoint("CT1")),
        ("/imaging-ai/models", model),
        ("/pacs/studies/sync", study("1.2", "MAIN")),
    ];
    for (path, body) in &taken {
        // Rejected at the first attempt and after the node has cached the state.
        for _ in 0..2 {
            let refused = client.post(path, body).await?;
            assert_problem(&refused, ProblemCode::AlreadyExists, path);
        }
    }
    let of_none = client
        .post("/pacs/studies/sync", &study("1.3", "CT1"))
        .await?;
    assert_problem(
        &of_none,
        ProblemCode::ReferenceNotFound,
        "an order is no endpoint",
    );
    let others = [
        ("/pacs/endpoints", endpoint("CT2")),
        ("/pacs/studies/sync", study("1.3", "MAIN")),
    ];
    for (path, body) in &others {
        assert_eq!(client.post(path, body).await?.status, 201, "{path}");
    }
    assert_eq!(client.get("/imaging/orders").await?.ids().len(), 3);
    Ok(())
}

async fn no_order_takes_the_id_of_something_else(engine: EngineKind) -> Result<()> {
    let beside = Beside::open(engine).await?;
    let endpoint = json!({ "code": "CT1", "name": "n", "protocol": "DICOM", "completes_order": true,
        "is_active": true });
    let endpoint: PacsEndpoint = serde_json::from_value(endpoint)?;
    beside.does(&CreateEntry(endpoint)).await?;
    let refused = beside.does(&beside.order("PACSEndpoint:CT1")?).await;
    assert!(
        matches!(refused, Err(CommandError::IdOfOtherType)),
        "{refused:?}"
    );
    let house = &beside.house;
    let order = house.order_with(json!({ "accession_number": "PACSEndpoint:CT1" }));
    let over_http = house.client.post("/imaging/orders", &order).await?;
    assert_problem(&over_http, ProblemCode::Unacceptable, "over HTTP");
    assert_eq!(over_http.text_at("/errors/0/pointer"), "/accession_number");
    Ok(())
}
