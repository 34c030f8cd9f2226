//! Canary secrets in every kind of configuration: none is in a log at any level, in the printed configuration, or in an
//! error.

use std::time::Duration;

use anyhow::{Result, ensure};
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, Nats, Server, TestClient, TestDatabase};

use crate::faults::run;
use crate::leak_scan::{assert_absent, assert_present};
use crate::test_app::{create_catalog, fresh, on_both_engines};

on_both_engines!(planted_secrets_are_in_no_log);

/// Time limit for published messages to arrive.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
const JWT_SECRET: &str = "plantedjwtsecret-0123456789-abcdefghijklm";
const MASTER_KEY: &str = "cGxhbnRlZC0wMTIzNDU2Nzg5LW1hc3Rlci1rZXkteHk=";
const PASSWORDS: [&str; 4] = [
    "planteddatabase",
    "plantedsecond",
    "plantednats",
    "plantedtoken",
];

/// Returns the database's URL with a password, which a server with `trust` authentication ignores.
fn with_password(database: &TestDatabase) -> String {
    let [first, second, ..] = PASSWORDS;
    let url = database.url.replacen('@', &format!(":{first}@"), 1);
    match database.engine {
        EngineKind::Sqlite => database.url.clone(),
        EngineKind::Postgres => format!("{url}?pass%77ord={second}"),
    }
}

async fn planted_secrets_are_in_no_log(engine: EngineKind) -> Result<()> {
    let [.., password, token] = PASSWORDS;
    let nats = Nats::start().await?;
    let (_, host) = nats
        .url()
        .split_once("://")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap_or_default();
    // Nothing listens on the discard port: failed attempts are logged too.
    let servers = format!("nats://app:{password}@127.0.0.1:9,nats://{token}@{host}");
    let database = TestDatabase::new(engine).await?;
    let url = with_password(&database);
    let arguments = [
        "--dev",
        "--log",
        "trace",
        "--database",
        &url,
        "--nats",
        &servers,
        "--jwt-secret",
        JWT_SECRET,
        "--master-key",
        MASTER_KEY,
    ];
    let server = Server::start(&database, &arguments).await?;
    let client = TestClient::dev(&server.base, fresh());
    create_catalog(&client).await?;
    nats.holds(1, WAIT_TIMEOUT).await?;
    let logged = server.logged()?;
    assert_present(
        &["async_nats", "\"level\":\"TRACE\""],
        "the log",
        logged.as_bytes(),
    )?;
    let shown = run(&database, &[&["config"], &arguments[..]].concat())?;
    ensure!(shown.code == Some(0), "{}", shown.printed);
    let secrets = [&PASSWORDS[..], &[JWT_SECRET, MASTER_KEY]].concat();
    assert_absent(&secrets, "the log", logged.as_bytes())?;
    assert_absent(&secrets, "the configuration", shown.printed.as_bytes())
}

/// URLs with an unencoded password or with unknown parameters.
const MISREAD: [&str; 8] = [
    "postgres://u:planted?b@127.0.0.1/db",
    "postgres://u:1?planted@127.0.0.1/db",
    "postgres://u:1#planted@127.0.0.1/db",
    "postgres://u:1/planted@127.0.0.1/db",
    "postgres://u@127.0.0.1/db?passwort=planted",
    "postgres://u@127.0.0.1/db?planted",
    "postgres://u@127.0.0.1/db?sslmode=planted",
    "planted://u@127.0.0.1/db",
];

#[tokio::test]
async fn a_url_that_is_misread_is_rejected_and_not_repeated() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    let nats = [
        "nats://u:1?planted@127.0.0.1",
        "nats://u:planted@",
        "nats://u:1/planted@h",
    ];
    let cases = MISREAD.iter().map(|url| ("--database", *url));
    let cases = cases.chain(nats.iter().map(|url| ("--nats", *url)));
    for (flag, url) in cases {
        for command in ["config", "migrate", "serve"] {
            let ran = program(&database)
                .args([command, "--log", "trace", flag, url])
                .output()?;
            ensure!(ran.status.code() == Some(64), "{flag} {url}: {ran:?}");
            assert_absent(&["planted"], url, &[ran.stdout, ran.stderr].concat())?;
        }
    }
    Ok(())
}
