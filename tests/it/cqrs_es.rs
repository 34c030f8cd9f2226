//! `cqrs-es` programs on Roentgen's aggregates and log: the `cqrs-es` frameworks decide, store and load like Roentgen's
//! code.

use std::sync::Arc;

use anyhow::Result;
use cqrs_es::CqrsFramework;
use cqrs_es::test::TestFramework;
use roentgen_domain::catalog::{CatalogEntry as _, Command, Created, Error, Event};
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{ModalityId, TenantId};
use roentgen_domain::modality::{Changes, Modality};
use roentgen_domain::text::Text;
use roentgen_domain::{Actor, Context};
use roentgen_store::clock;
use roentgen_store::cqrs_es_adapter::{CqrsEsAggregate, CqrsEsEvent, CqrsEsStore, Services};
use roentgen_store::database::{self, Store};
use roentgen_store::keys::MasterKey;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::reads::Reads;
use roentgen_tests::{EngineKind, TestDatabase};
use uuid::Uuid;

use crate::test_app::on_both_engines;

fn tenant() -> TenantId {
    Uuid::from_u128(1).into()
}

fn services() -> Services {
    Services(Box::new(|| Context {
        tenant_id: tenant(),
        actor: Actor::system(),
        now: clock::now(),
        fresh_id: clock::fresh_id(),
    }))
}

fn ct() -> Modality {
    Modality {
        code: ModalityCode::parse("CT").unwrap(),
        name: Text::parse("Computed tomography").unwrap(),
        description: None,
        is_active: true,
    }
}

fn created() -> CqrsEsEvent<Event<Modality>> {
    let id = ct().id(tenant());
    CqrsEsEvent(Event::Created(Box::new(Created { id, entry: ct() })))
}

#[test]
fn its_test_framework_runs_on_our_aggregates() {
    type Given = TestFramework<CqrsEsAggregate<Modality>>;
    Given::with(services())
        .given_no_previous_events()
        .when(Command::Create(Box::new(ct())))
        .then_expect_events(vec![created()]);
    let refused = Given::with(services())
        .given(vec![created()])
        .when(Command::Create(Box::new(ct())))
        .inspect_result();
    assert_eq!(
        refused.map(|_| ()),
        Err(Error::AlreadyExists(Modality::NAMES.already_exists))
    );
}

on_both_engines!(cqrs_framework_runs_on_roentgen_log);

async fn cqrs_framework_runs_on_roentgen_log(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let tasks = BackgroundTasks::new();
    let engine = database::DatabaseUrl::parse(&database.url)?
        .connect()
        .await?;
    engine.migrate().await?;
    let master = MasterKey::parse(&MasterKey::generate())?;
    let store = Store::start(Arc::clone(&engine), master, &tasks).await?;
    let log = CqrsEsStore::<Modality>::new(store.clone(), tenant(), Actor::system());
    let framework = CqrsFramework::new(log, Vec::new(), services());
    let id = ModalityId::derive(tenant(), &ct().code);
    framework
        .execute(&id.to_string(), Command::Create(Box::new(ct())))
        .await?;
    let retired = Changes {
        is_active: Some(false),
        ..Changes::default()
    };
    framework
        .execute(&id.to_string(), Command::Update(Box::new(retired)))
        .await?;
    let again = framework
        .execute(&id.to_string(), Command::Create(Box::new(ct())))
        .await;
    assert!(matches!(
        again,
        Err(cqrs_es::AggregateError::UserError(Error::AlreadyExists(_)))
    ));

    let loaded = loader::load::<Modality>(
        &Reads::of_system(&store.engine),
        &store.keyring,
        id.into(),
        AsOf::Now,
    )
    .await?;
    let loaded = loaded.expect("the modality is in the log");
    assert_eq!((loaded.version, loaded.state.is_active), (2, false));
    assert!(tasks.stop(std::time::Duration::from_secs(10)).await);
    Ok(())
}
