//! Database logins: a server that could install code does not start, and a server that could change the log reports it.

use anyhow::{Result, ensure};
use roentgen_tests::server::program;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, Server, TestDatabase};

use crate::faults::run;
use crate::test_app::fresh;

/// Role of this test, dropped with this value. Roles belong to the whole cluster.
struct Login {
    name: String,
    database: TestDatabase,
}

impl Login {
    /// Creates a login that is only a member of `roentgen_server`, and a database with the schema.
    async fn new() -> Result<Self> {
        let database = TestDatabase::new(EngineKind::Postgres).await?;
        let migrated = program(&database).arg("migrate").output()?;
        ensure!(migrated.status.success(), "{migrated:?}");
        let name = format!("roentgen_app_{}", fresh().simple());
        let mut owner = RawDatabase::on(&database, DbFile::Log).await?;
        owner
            .run(&format!("CREATE ROLE {name} LOGIN IN ROLE roentgen_server"))
            .await?;
        Ok(Self { name, database })
    }

    fn url(&self) -> Result<String> {
        let (_, host) = self.database.url.split_once('@').unwrap_or_default();
        ensure!(!host.is_empty(), "{}", self.database.url);
        Ok(format!("postgres://{}@{host}", self.name))
    }

    async fn drop(self) -> Result<()> {
        let mut owner = RawDatabase::on(&self.database, DbFile::Log).await?;
        owner
            .run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name))
            .await?;
        Ok(())
    }
}

const WARNING: &str = "db.privileged_login";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_can_change_the_log_is_warned_of() -> Result<()> {
    let login = Login::new().await?;
    let owner = Server::start(&login.database, &["--dev"]).await?;
    let logged = owner.logged()?;
    ensure!(logged.contains(WARNING), "{logged}");

    let arguments = ["--dev", "--no-migrate", "--database", &login.url()?];
    let app = Server::start(&login.database, &arguments).await?;
    let logged = app.logged()?;
    ensure!(!logged.contains(WARNING), "{logged}");
    app.kill()?;
    owner.kill()?;
    login.drop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_may_create_in_public_is_refused_with_the_statement_to_run() -> Result<()> {
    let login = Login::new().await?;
    let mut owner = RawDatabase::on(&login.database, DbFile::Log).await?;
    owner
        .run(&format!("GRANT CREATE ON SCHEMA public TO {}", login.name))
        .await?;
    let arguments = [
        "serve",
        "--dev",
        "--no-migrate",
        "--database",
        &login.url()?,
    ];
    let ran = run(&login.database, &arguments)?;
    let statement = format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}", login.name);
    ensure!(
        ran.code == Some(70) && ran.printed.contains(&statement),
        "{}",
        ran.printed
    );
    owner.run(&statement).await?;
    let arguments = ["--dev", "--no-migrate", "--database", &login.url()?];
    Server::start(&login.database, &arguments).await?.kill()?;
    login.drop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_do_not_run_beside_somebody_elses_code() -> Result<()> {
    let login = Login::new().await?;
    let mut owner = RawDatabase::on(&login.database, DbFile::Log).await?;
    let planted = format!(
        "CREATE FUNCTION public.planted() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'; \
         GRANT CREATE ON SCHEMA public TO {0}; ALTER FUNCTION public.planted() OWNER TO {0}; \
         REVOKE CREATE ON SCHEMA public FROM {0}",
        login.name
    );
    owner.run(&planted).await?;
    for command in [&["migrate"][..], &["serve", "--dev"]] {
        let ran = run(&login.database, command)?;
        ensure!(
            ran.code == Some(70) && ran.printed.contains("planted()"),
            "{}",
            ran.printed
        );
    }
    login.drop().await
}
