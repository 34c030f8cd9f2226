//! Fixtures that most tests use.

use std::ops::Range;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{
    DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase, TestResponse,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Creates tests: `async fn NAME(engine: EngineKind) -> Result<()>` becomes `NAME::sqlite` and `NAME::postgres`.
macro_rules! on_both_engines {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() -> anyhow::Result<()> {
                super::$story(roentgen_tests::EngineKind::Sqlite).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() -> anyhow::Result<()> {
                super::$story(roentgen_tests::EngineKind::Postgres).await
            }
        }
    )+};
}
pub(crate) use on_both_engines;

/// Secret that signs the tests' tokens.
pub(crate) const SECRET: &str = "a secret of the tests, long enough to sign with";
/// Key that encrypts patient keys on test servers without `--dev`.
pub(crate) const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Returns a new id.
pub(crate) fn fresh() -> Uuid {
    roentgen_store::clock::fresh_id()
}

/// Returns a random delay in this range of milliseconds, after which a process is killed.
pub(crate) fn random_delay(within_ms: Range<u64>) -> Duration {
    let (_, random) = fresh().as_u64_pair();
    let length = within_ms.end - within_ms.start;
    Duration::from_millis(within_ms.start + random % length)
}

/// Server over a new database, with a catalog of one modality and one procedure.
pub(crate) struct TestApp {
    pub(crate) server: Server,
    /// Client of the tenant's admin.
    pub(crate) client: TestClient,
    pub(crate) tenant: Uuid,
    pub(crate) procedure: String,
    /// Dropped last: the server has to end first.
    pub(crate) database: TestDatabase,
}

impl TestApp {
    /// Starts a server in `--dev`: callers without a token are admin.
    pub(crate) async fn start(engine: EngineKind) -> Result<Self> {
        Self::open_with(engine, &["--dev"]).await
    }

    /// Starts a server with these arguments, which include `--dev`.
    pub(crate) async fn open_with(engine: EngineKind, arguments: &[&str]) -> Result<Self> {
        let database = TestDatabase::new(engine).await?;
        let server = serve(&database, arguments).await?;
        let tenant = fresh();
        let client = TestClient::dev(&server.base, tenant);
        Self::seed_catalog(database, server, client, tenant).await
    }

    /// Starts a server in `--dev` over a PostgreSQL database whose log has partitions of this number of events.
    pub(crate) async fn start_partitioned(size: u64) -> Result<Self> {
        let database = TestDatabase::new(EngineKind::Postgres).await?;
        let migrated = program(&database).arg("migrate").output()?;
        assert!(migrated.status.success(), "{migrated:?}");
        let mut by_hand = RawDatabase::on(&database, DbFile::Log).await?;
        let size =
            format!("INSERT INTO meta VALUES ('partition_size', convert_to('{size}', 'UTF8'))");
        by_hand.run(&size).await?;
        let server = serve(&database, &["--dev"]).await?;
        let tenant = fresh();
        let client = TestClient::dev(&server.base, tenant);
        Self::seed_catalog(database, server, client, tenant).await
    }

    /// Starts a server as in production: every request needs a token.
    pub(crate) async fn start_with_auth(engine: EngineKind) -> Result<Self> {
        let database = TestDatabase::new(engine).await?;
        let server = serve(&database, &["--master-key", MASTER_KEY, "--any-audience"]).await?;
        let tenant = fresh();
        let admin = token(&database, &["admin"], Some(tenant))?;
        let client = TestClient::new(&server.base).bearer(&admin);
        Self::seed_catalog(database, server, client, tenant).await
    }

    async fn seed_catalog(
        database: TestDatabase,
        server: Server,
        client: TestClient,
        tenant: Uuid,
    ) -> Result<Self> {
        let procedure = create_catalog(&client).await?;
        Ok(Self {
            server,
            client,
            tenant,
            procedure,
            database,
        })
    }

    /// Returns a client of the admin for the setup of a test.
    pub(crate) fn setup(&self) -> TestClient {
        self.client.for_setup()
    }

    /// Starts another server on the same database.
    pub(crate) async fn second_server(&self) -> Result<Server> {
        serve(&self.database, &["--dev"]).await
    }

    /// Returns a client of a new practitioner of this tenant, with this role.
    pub(crate) fn caller(&self, role: &str) -> Result<TestClient> {
        self.practitioner(fresh(), role)
    }

    /// Returns a client of this practitioner of this tenant, with this role.
    pub(crate) fn practitioner(&self, id: Uuid, role: &str) -> Result<TestClient> {
        let token = token_of(&self.database, &[role], Some(self.tenant), Some(id))?;
        Ok(TestClient::new(&self.server.base).bearer(&token))
    }

    /// Returns a client of the platform's operator.
    pub(crate) fn operator(&self) -> Result<TestClient> {
        let token = token(&self.database, &["operator"], None)?;
        Ok(TestClient::new(&self.server.base).bearer(&token))
    }

    /// Returns the body of a new order.
    pub(crate) fn order(&self) -> Value {
        json!({
            "patient_id": fresh(), "imaging_procedure_id": self.procedure,
            "indication": "rule out acute stroke",
        })
    }

    /// Returns the body of a new order with additional members.
    pub(crate) fn order_with(&self, members: Value) -> Value {
        with(self.order(), members)
    }

    /// Creates an order.
    pub(crate) async fn create_order(&self, members: Value) -> Result<TestResponse> {
        let body = self.order_with(members);
        let created = self.setup().post("/imaging/orders", &body).await?;
        assert_eq!(created.status, 201, "{created:?}");
        Ok(created)
    }

    /// Creates an order, changes its status, and returns its path.
    pub(crate) async fn create_order_in_status(&self, status: &str) -> Result<String> {
        let place = self.create_order(json!({})).await?.header("location");
        if status != "requested" {
            let status = json!({ "status": status });
            let moved = self.setup().patch(&place, &status).await?;
            assert_eq!(moved.status, 200, "{moved:?}");
        }
        Ok(place)
    }
}

/// Starts a server with the tests' secret.
pub(crate) async fn serve(database: &TestDatabase, arguments: &[&str]) -> Result<Server> {
    Server::spawn(database, |command: &mut Command| {
        command.env("ROENTGEN_JWT_SECRET", SECRET).args(arguments);
    })
    .await
}

/// Returns a token from the command line that the servers of [`serve`] accept.
pub(crate) fn token(
    database: &TestDatabase,
    roles: &[&str],
    tenant: Option<Uuid>,
) -> Result<String> {
    token_of(database, roles, tenant, None)
}

/// Returns a token of a practitioner.
pub(crate) fn token_of(
    database: &TestDatabase,
    roles: &[&str],
    tenant: Option<Uuid>,
    practitioner: Option<Uuid>,
) -> Result<String> {
    let mut command = program(database);
    command
        .env("ROENTGEN_JWT_SECRET", SECRET)
        .args(["token", "--master-key", MASTER_KEY]);
    for role in roles {
        command.args(["--role", role]);
    }
    if let Some(tenant) = tenant {
        command.args(["--tenant", &tenant.to_string()]);
    }
    if let Some(practitioner) = practitioner {
        command.args(["--practitioner", &practitioner.to_string()]);
    }
    let made = command.output()?;
    let printed = String::from_utf8(made.stdout)?;
    assert!(made.status.success(), "{:?}", made.stderr);
    let last = printed.lines().last().unwrap_or_default();
    Ok(last.to_owned())
}

/// Returns an object with additional members; null removes a member.
pub(crate) fn with(mut object: Value, members: Value) -> Value {
    if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
        for (name, member) in members {
            if member.is_null() {
                object.remove(&name);
            } else {
                object.insert(name, member);
            }
        }
    }
    object
}

/// Creates the modality CT and the procedure head CT, and returns the procedure's id.
pub(crate) async fn create_catalog(client: &TestClient) -> Result<String> {
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let client = client.for_setup();
    let modality = client.post("/imaging/modalities", &modality).await?;
    assert_eq!(modality.status, 201, "{modality:?}");
    let procedure =
        json!({ "code": "CT_HEAD", "name": "CT head", "modality_id": modality.text_at("/id") });
    let procedure = client.post("/imaging/procedures", &procedure).await?;
    assert_eq!(procedure.status, 201, "{procedure:?}");
    Ok(procedure.text_at("/id"))
}
