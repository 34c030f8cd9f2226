//! A database for one measurement, and the components on top of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use roentgen_commands::catalog::CreateEntry;
use roentgen_commands::order::CreateOrder;
use roentgen_commands::procedure::CreateProcedure;
use roentgen_commands::{CommandEnvelope, Executor};
use roentgen_domain::Actor;
use roentgen_domain::codes::{ModalityCode, ProcedureCode};
use roentgen_domain::ids::{ModalityId, ProcedureId, TenantId};
use roentgen_domain::modality::Modality;
use roentgen_domain::order::{CreatedPhi, Priority};
use roentgen_domain::phi::{Patient, Phi};
use roentgen_domain::procedure;
use roentgen_domain::text::Text;
use roentgen_store::clock;
use roentgen_store::database::{self, Store};
use roentgen_store::keys::MasterKey;
use roentgen_store::lease::Leases;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::projection;
use roentgen_store::projector::{ProjectionProgress, Projector};
use roentgen_tests::EngineKind;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// Tenant of all data.
pub(crate) const TENANT: Uuid = Uuid::from_u128(1);

/// Returns the URL of the PostgreSQL server to measure on.
pub(crate) fn server() -> String {
    let named = std::env::var("ROENTGEN_BENCH_POSTGRES").ok();
    named.unwrap_or_else(|| "postgres://root@127.0.0.1:5432/postgres".to_owned())
}

/// Database of one measurement; call [`BenchDatabase::drop_it`] when done.
#[derive(Debug)]
pub(crate) struct BenchDatabase {
    pub(crate) url: String,
    name: String,
}

impl BenchDatabase {
    /// Creates a new database.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let name = format!("roentgen_bench_{}", clock::fresh_id().simple());
        let mut connection = connection().await?;
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await?;
        Ok(Self::named(name))
    }

    /// Opens the database with this name, and creates it if it does not exist.
    pub(crate) async fn kept(name: &str) -> anyhow::Result<Self> {
        let mut connection = connection().await?;
        let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(name);
        if found.fetch_optional(&mut connection).await?.is_none() {
            connection
                .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                .await?;
        }
        Ok(Self::named(name.to_owned()))
    }

    fn named(name: String) -> Self {
        let server = server();
        let base = server
            .rsplit_once('/')
            .map_or(server.as_str(), |(base, _)| base);
        Self {
            url: format!("{base}/{name}"),
            name,
        }
    }

    pub(crate) async fn drop_it(self) -> anyhow::Result<()> {
        let mut connection = connection().await?;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        connection.execute(AssertSqlSafe(drop)).await?;
        Ok(())
    }
}

/// New database on either engine; call [`Fresh::drop_it`] when done.
#[derive(Debug)]
pub(crate) enum Fresh {
    Sqlite(TempDir),
    Postgres(BenchDatabase),
}

impl Fresh {
    pub(crate) async fn new(engine: EngineKind) -> anyhow::Result<Self> {
        Ok(match engine {
            EngineKind::Sqlite => Self::Sqlite(tempfile::tempdir()?),
            EngineKind::Postgres => Self::Postgres(BenchDatabase::new().await?),
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => {
                format!(
                    "sqlite://{}",
                    directory.path().join("roentgen.db").display()
                )
            }
            Self::Postgres(database) => database.url.clone(),
        }
    }

    pub(crate) async fn drop_it(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(directory) => Ok(directory.close()?),
            Self::Postgres(database) => database.drop_it().await,
        }
    }
}

async fn connection() -> anyhow::Result<PgConnection> {
    let connected = PgConnection::connect(&server()).await;
    connected.context("ROENTGEN_BENCH_POSTGRES")
}

/// Node over a database, in this process.
#[derive(Debug)]
pub(crate) struct BenchNode {
    pub(crate) store: Store,
    pub(crate) executor: Executor,
    pub(crate) progress: ProjectionProgress,
    pub(crate) procedure: ProcedureId,
    tasks: BackgroundTasks,
}

impl BenchNode {
    /// Migrates the database, starts all components, and creates a catalog.
    pub(crate) async fn start(database: &BenchDatabase) -> anyhow::Result<Self> {
        let engine = database::DatabaseUrl::parse(&database.url)?
            .connect()
            .await?;
        engine.migrate().await?;
        let tasks = BackgroundTasks::new();
        let master = MasterKey::parse("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
        let store = Store::start(Arc::clone(&engine), master, &tasks).await?;
        let tail = Arc::clone(&store.tail);
        let all = roentgen_projections::all();
        let names = projection::leases(&all);
        let leases = Leases::start(engine.clone(), "", names, &tasks);
        let progress = Projector::start(engine, tail, all, leases, &tasks).await?;
        let executor = Executor::new(store.clone());
        let procedure = catalog(&executor).await?;
        Ok(Self {
            store,
            executor,
            progress,
            procedure,
            tasks,
        })
    }

    pub(crate) async fn stop(self) {
        self.tasks.stop(Duration::from_secs(30)).await;
        self.store.engine.close().await;
    }
}

async fn catalog(executor: &Executor) -> anyhow::Result<ProcedureId> {
    let tenant = TenantId::from(TENANT);
    let code = ModalityCode::parse("CT")?;
    let modality_id = ModalityId::derive(tenant, &code);
    let name = Text::parse("Computed tomography")?;
    let modality = Modality {
        code,
        name: name.clone(),
        description: None,
        is_active: true,
    };
    let code = ProcedureCode::parse("CT_HEAD")?;
    let procedure_id = ProcedureId::derive(tenant, &code);
    let procedure = CreateProcedure {
        code,
        name,
        modality_id,
        details: procedure::Changes::default(),
    };
    if executor
        .execute(&request(), &CreateEntry(modality))
        .await
        .is_ok()
    {
        executor.execute(&request(), &procedure).await?;
    }
    Ok(procedure_id)
}

/// Returns the envelope of a command by the benchmark's caller.
pub(crate) fn request() -> CommandEnvelope {
    CommandEnvelope {
        tenant_id: TENANT.into(),
        actor: Actor {
            sub: "bench".to_owned(),
            practitioner_id: Some(Uuid::from_u128(2).into()),
            roles: vec!["clinician".to_owned()],
            name: Some("A clinician".to_owned()),
        },
        correlation_id: clock::fresh_id().into(),
        causation_id: None,
        if_match: None,
        idempotency: None,
    }
}

/// Returns an order of typical size for a new patient.
pub(crate) fn order(procedure: ProcedureId) -> CreateOrder {
    let text = |text: &str| Text::parse(text).ok().map(Phi::new);
    let indication = text("sudden weakness of the right arm, rule out acute stroke");
    CreateOrder {
        patient_id: clock::fresh_id().into(),
        encounter_id: Some(clock::fresh_id().into()),
        episode_id: None,
        ordering_practitioner_id: Some(Uuid::from_u128(2).into()),
        ordering_department_id: Some(Uuid::from_u128(3).into()),
        imaging_procedure_id: procedure,
        priority: Priority::Urgent,
        requested_at: None,
        accession_number: None,
        phi: CreatedPhi {
            indication: indication.unwrap_or_else(|| unreachable!("not blank")),
            patient: Some(Patient {
                mrn: text("MRN-0012345"),
                family_name: text("Example"),
                given_name: text("Anna"),
                birth_date: None,
                sex: None,
            }),
            metadata: None,
        },
    }
}

/// Flushes the page cache: an earlier measurement may have left hundreds of megabytes of dirty pages, which the kernel
/// would write in a burst that delays every commit.
pub(crate) async fn flush_page_cache() -> anyhow::Result<()> {
    let status = tokio::process::Command::new("sync").status().await?;
    ensure!(status.success(), "sync: {status}");
    Ok(())
}
