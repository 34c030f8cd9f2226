//! What most stories begin with.

use std::ops::Range;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{Answer, ByHand, Client, Database, Engine, Part, Server};
use serde_json::{Value, json};
use uuid::Uuid;

/// Makes tests of stories: `async fn NAME(engine: Engine) -> Result<()>` becomes `NAME::sqlite` and `NAME::postgres`.
macro_rules! on_both_engines {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() -> anyhow::Result<()> {
                super::$story(roentgen_tests::Engine::Sqlite).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() -> anyhow::Result<()> {
                super::$story(roentgen_tests::Engine::Postgres).await
            }
        }
    )+};
}
pub(crate) use on_both_engines;

/// What the tests' tokens are signed with.
pub(crate) const SECRET: &str = "a secret of the tests, long enough to sign with";
/// What the tests' servers wrap patients' keys with where they are not in `--dev`.
pub(crate) const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A fresh id.
pub(crate) fn fresh() -> Uuid {
    roentgen_store::clock::fresh_id()
}

/// A moment at which somebody is killed, so many milliseconds after something began.
pub(crate) fn a_moment(within_ms: Range<u64>) -> Duration {
    let (_, random) = fresh().as_u64_pair();
    let length = within_ms.end - within_ms.start;
    Duration::from_millis(within_ms.start + random % length)
}

/// A server over a new database, with a catalog of one modality and one procedure.
pub(crate) struct House {
    pub(crate) server: Server,
    /// The tenant's admin.
    pub(crate) client: Client,
    pub(crate) tenant: Uuid,
    pub(crate) procedure: String,
    /// Dropped last: the server has to be gone by then.
    pub(crate) database: Database,
}

impl House {
    /// In `--dev`: who sends no token is admin.
    pub(crate) async fn open(engine: Engine) -> Result<Self> {
        Self::open_with(engine, &["--dev"]).await
    }

    /// In `--dev`, with further arguments.
    pub(crate) async fn open_with(engine: Engine, arguments: &[&str]) -> Result<Self> {
        let database = Database::new(engine).await?;
        let server = serve(&database, arguments).await?;
        let tenant = fresh();
        let client = Client::dev(&server.base, tenant);
        Self::furnish(database, server, client, tenant).await
    }

    /// In `--dev`, over a database of PostgreSQL's whose log has partitions of this many events.
    pub(crate) async fn open_partitioned(size: u64) -> Result<Self> {
        let database = Database::new(Engine::Postgres).await?;
        let migrated = program(&database).arg("migrate").output()?;
        assert!(migrated.status.success(), "{migrated:?}");
        let mut by_hand = ByHand::on(&database, Part::Log).await?;
        let size =
            format!("INSERT INTO meta VALUES ('partition_size', convert_to('{size}', 'UTF8'))");
        by_hand.run(&size).await?;
        let server = serve(&database, &["--dev"]).await?;
        let tenant = fresh();
        let client = Client::dev(&server.base, tenant);
        Self::furnish(database, server, client, tenant).await
    }

    /// As in production: nothing without a token.
    pub(crate) async fn open_guarded(engine: Engine) -> Result<Self> {
        let database = Database::new(engine).await?;
        let server = serve(&database, &["--master-key", MASTER_KEY]).await?;
        let tenant = fresh();
        let admin = token(&database, &["admin"], Some(tenant))?;
        let client = Client::new(&server.base).bearer(&admin);
        Self::furnish(database, server, client, tenant).await
    }

    async fn furnish(
        database: Database,
        server: Server,
        client: Client,
        tenant: Uuid,
    ) -> Result<Self> {
        let procedure = catalog(&client).await?;
        Ok(Self {
            server,
            client,
            tenant,
            procedure,
            database,
        })
    }

    /// Another process on the same database.
    pub(crate) async fn neighbour(&self) -> Result<Server> {
        serve(&self.database, &["--dev"]).await
    }

    /// A practitioner of this tenant with this role.
    pub(crate) fn caller(&self, role: &str) -> Result<Client> {
        self.practitioner(fresh(), role)
    }

    /// This practitioner of this tenant, with this role.
    pub(crate) fn practitioner(&self, id: Uuid, role: &str) -> Result<Client> {
        let token = token_of(&self.database, &[role], Some(self.tenant), Some(id))?;
        Ok(Client::new(&self.server.base).bearer(&token))
    }

    /// Who runs the platform.
    pub(crate) fn operator(&self) -> Result<Client> {
        let token = token(&self.database, &["operator"], None)?;
        Ok(Client::new(&self.server.base).bearer(&token))
    }

    /// A new order's body.
    pub(crate) fn order(&self) -> Value {
        json!({
            "patient_id": fresh(), "imaging_procedure_id": self.procedure,
            "indication": "rule out acute stroke",
        })
    }

    /// A new order's body with further members.
    pub(crate) fn order_with(&self, members: Value) -> Value {
        with(self.order(), members)
    }

    /// Orders an examination.
    pub(crate) async fn ordered(&self, members: Value) -> Result<Answer> {
        let body = self.order_with(members);
        let created = self.client.post("/imaging/orders", &body).await?;
        assert_eq!(created.status, 201, "{created:?}");
        Ok(created)
    }

    /// Orders an examination and takes it to a status; returns its place.
    pub(crate) async fn ordered_and(&self, status: &str) -> Result<String> {
        let place = self.ordered(json!({})).await?.header("location");
        if status != "requested" {
            let status = json!({ "status": status });
            let moved = self.client.patch(&place, &status).await?;
            assert_eq!(moved.status, 200, "{moved:?}");
        }
        Ok(place)
    }
}

/// A server with the tests' secret.
pub(crate) async fn serve(database: &Database, arguments: &[&str]) -> Result<Server> {
    Server::spawn(database, |command: &mut Command| {
        command.env("ROENTGEN_JWT_SECRET", SECRET).args(arguments);
    })
    .await
}

/// A token that [`serve`]'s servers accept, from the command line.
pub(crate) fn token(database: &Database, roles: &[&str], tenant: Option<Uuid>) -> Result<String> {
    token_of(database, roles, tenant, None)
}

/// The same, of a practitioner.
pub(crate) fn token_of(
    database: &Database,
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

/// An object with further members; those that are null are taken out.
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

/// CT, and a head CT; returns the procedure's id.
pub(crate) async fn catalog(client: &Client) -> Result<String> {
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let modality = client.post("/imaging/modalities", &modality).await?;
    assert_eq!(modality.status, 201, "{modality:?}");
    let procedure =
        json!({ "code": "CT_HEAD", "name": "CT head", "modality_id": modality.text_at("/id") });
    let procedure = client.post("/imaging/procedures", &procedure).await?;
    assert_eq!(procedure.status, 201, "{procedure:?}");
    Ok(procedure.text_at("/id"))
}
