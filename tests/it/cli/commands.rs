//! `roentgen migrate`, `verify`, `projections`, `token` and `config`.

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, Server, TestClient, TestDatabase};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::assertions::log_head;
use crate::test_app::{MASTER_KEY, SECRET, TestApp, fresh, on_both_engines};

on_both_engines!(
    migrates_an_empty_database_and_again,
    verifies_the_chain_and_names_where_it_breaks,
    shows_the_projections,
    makes_tokens,
    shows_the_configuration_without_secrets,
);

/// Returns the exit code and standard output.
fn run(database: &TestDatabase, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let ran = program(database).args(arguments).output()?;
    Ok((ran.status.code(), String::from_utf8(ran.stdout)?))
}

async fn migrates_an_empty_database_and_again(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    for _ in 0..2 {
        let (code, printed) = run(&database, &["migrate"])?;
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("up to date"), "{printed}");
    }
    let server = Server::start(&database, &["--dev", "--no-migrate"]).await?;
    assert_eq!(
        TestClient::new(&server.base)
            .get("/health/ready")
            .await?
            .status,
        200
    );
    Ok(())
}

async fn verifies_the_chain_and_names_where_it_breaks(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for _ in 0..3 {
        house.create_order(json!({})).await?;
    }
    let last = house.client.get("/events?after=4").await?.lines();
    let head = log_head(&house.client).await?;
    let (code, printed) = run(&house.database, &["verify"])?;
    let holds = format!("{head} events");
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains(&holds) && printed.contains(last[0]["hash"].as_str().unwrap_or("?")),
        "{printed}"
    );
    assert_eq!(house.server.terminate()?, Some(0));
    tamper(&house.database).await?;
    let (code, printed) = run(&house.database, &["verify"])?;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("position 3"), "{printed}");
    Ok(())
}

/// Changes an event as an owner of the database could.
async fn tamper(database: &TestDatabase) -> Result<()> {
    let altered = "UPDATE events SET payload = replace(CAST(payload AS text), 'routine', 'urgent') \
        WHERE position = 3";
    match database.engine {
        EngineKind::Sqlite => {
            let mut file = SqliteConnection::connect(&database.url).await?;
            let triggers: Vec<String> =
                sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                    .fetch_all(&mut file)
                    .await?;
            for trigger in triggers {
                file.execute(AssertSqlSafe(format!("DROP TRIGGER {trigger}")))
                    .await?;
            }
            file.execute(altered).await?;
        }
        EngineKind::Postgres => {
            let mut server = PgConnection::connect(&database.url).await?;
            server
                .execute("SET session_replication_role = replica")
                .await?;
            let altered = altered.replace("'urgent')", "'urgent')::json");
            server.execute(AssertSqlSafe(altered)).await?;
        }
    }
    Ok(())
}

async fn shows_the_projections(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    house.client.get("/imaging/orders").await?;
    let head = log_head(&house.client).await?;
    let (code, printed) = run(&house.database, &["projections"])?;
    assert_eq!(code, Some(0), "{printed}");
    for table in [
        "orders_v2",
        "procedures_v2",
        "modalities_v2",
        "checkpoint",
        "lag",
        &head.to_string(),
    ] {
        assert!(printed.contains(table), "{table} is not in: {printed}");
    }
    assert!(!printed.contains("parked"), "{printed}");
    Ok(())
}

async fn makes_tokens(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let tenant = house.tenant.to_string();
    let practitioner = fresh().to_string();
    let token = |arguments: &[&str]| {
        let mut command = program(&house.database);
        command
            .env("ROENTGEN_JWT_SECRET", SECRET)
            .env("ROENTGEN_DEV", "true")
            .arg("token");
        command.args(arguments).output()
    };
    let made = token(&[
        "--role",
        "clinician",
        "--tenant",
        &tenant,
        "--practitioner",
        &practitioner,
        "--ttl",
        "15m",
    ])?;
    let printed = String::from_utf8(made.stdout)?;
    let last = printed.lines().last().unwrap_or_default();
    let caller = TestClient::new(&house.server.base).bearer(last);
    let created = caller.post("/imaging/orders", &house.order()).await?;
    assert_eq!(
        (made.status.code(), created.status),
        (Some(0), 201),
        "{created:?}"
    );
    let events = house
        .client
        .get(&format!("/events?stream_id={}", created.text_at("/id")))
        .await?
        .lines();
    assert_eq!(events[0]["actor"]["practitioner_id"], json!(practitioner));
    for wrong in [
        &["--role", "king"][..],
        &[],
        &["--role", "admin", "--ttl", "soon"],
        &["--role", "admin", "--tenant", "x"],
        &["--role", "admin", "--practitioner", "x"],
    ] {
        let refused = token(wrong)?;
        assert_eq!(refused.status.code(), Some(64), "{wrong:?}");
        assert!(refused.stdout.is_empty(), "{wrong:?}");
    }
    let own = run(&house.database, &["token", "--dev", "--role", "admin"])?;
    let other = TestClient::new(&house.server.base).bearer(own.1.trim());
    assert_eq!(
        other.get("/imaging/orders").await?.status,
        401,
        "a generated secret is not the server's"
    );
    Ok(())
}

async fn shows_the_configuration_without_secrets(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    for url in [
        "postgres://roe:hunter2@127.0.0.1:5432/x",
        "postgres://roe:hun%40ter2@[::1]/x",
        "postgres://127.0.0.1/x?user=roe&password=hunter2",
    ] {
        let arguments = [
            "config",
            "--database",
            url,
            "--jwt-secret",
            SECRET,
            "--master-key",
            MASTER_KEY,
            "--any-audience",
        ];
        let (code, printed) = run(&database, &arguments)?;
        assert_eq!(code, Some(0), "{printed}");
        for secret in ["hunter2", "hun%40ter2", "ter2", SECRET, MASTER_KEY] {
            assert!(!printed.contains(secret), "{printed}");
        }
        for shown in ["postgres://", "127.0.0.1:0", "[configured]"] {
            assert!(printed.contains(shown), "{shown} is not in: {printed}");
        }
    }
    let (code, printed) = run(&database, &["config", "--dev"])?;
    assert!(
        code == Some(0) && printed.contains("[generated") && printed.contains(&database.url),
        "{printed}"
    );
    Ok(())
}
