//! TLS to PostgreSQL: every connection uses it, and a wrong server is rejected with the reason.

use anyhow::{Result, ensure};
use roentgen_tests::{Certificate, EngineKind, Postgres, Server, TestClient, TestDatabase};
use sqlx::{Connection as _, PgConnection};

use crate::faults::run;
use crate::test_app::{create_catalog, fresh};

/// Connection settings, and the error that the server reports for them.
struct Refused {
    host: &'static str,
    parameters: String,
    says: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_encrypted_and_another_server_is_refused() -> Result<()> {
    let postgres = Postgres::start_with_tls().await?;
    let database = TestDatabase::on(&postgres)?;
    let other = Certificate::make(&database.directory(), "other")?;
    let trusted = postgres.certificate().display().to_string();
    let verified = format!("sslmode=verify-full&sslrootcert={trusted}");
    let wrong_root = format!(
        "sslmode=verify-full&sslrootcert={}",
        other.certificate.display()
    );
    let refused = [
        Refused {
            host: "127.0.0.1",
            parameters: wrong_root,
            says: "UnknownIssuer",
        },
        Refused {
            host: "localhost",
            parameters: verified.clone(),
            says: "not valid for name",
        },
        Refused {
            host: "127.0.0.1",
            parameters: "sslmode=verify-full".to_owned(),
            says: "UnknownIssuer",
        },
        Refused {
            host: "127.0.0.1",
            parameters: "sslmode=disable".to_owned(),
            says: "no encryption",
        },
    ];
    for Refused {
        host,
        parameters,
        says,
    } in refused
    {
        let url = format!(
            "postgres://roentgen@{host}:{}/postgres?{parameters}",
            postgres.port()
        );
        named(&database, &url, says)?;
    }
    let url = format!("{}?{verified}", postgres.url());
    let server = Server::start(&database, &["--dev", "--database", &url]).await?;
    let client = TestClient::dev(&server.base, fresh());
    create_catalog(&client).await?;
    all_encrypted(&postgres).await
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Postgres).await?;
    let url = format!("{}?sslmode=verify-full", database.url);
    named(&database, &url, "server does not support TLS")
}

/// Checks that neither a migration nor a server starts, and that both report the error.
fn named(database: &TestDatabase, url: &str, says: &str) -> Result<()> {
    for command in [
        &["migrate"][..],
        &["serve", "--dev"],
        &["serve", "--dev", "--no-migrate"],
    ] {
        let ran = run(database, &[command, &["--database", url]].concat())?;
        ensure!(
            ran.code == Some(70) && ran.printed.contains(says),
            "{url}: {:?}: {}",
            ran.code,
            ran.printed
        );
    }
    Ok(())
}

/// Checks that all connections of the server use TLS, including the one that listens for notifications.
async fn all_encrypted(postgres: &Postgres) -> Result<()> {
    let mut asking = PgConnection::connect(&postgres.url()).await?;
    let connected: Vec<(bool, String)> = sqlx::query_as(
        "SELECT s.ssl, a.query FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
         WHERE a.application_name = 'roentgen'",
    )
    .fetch_all(&mut asking)
    .await?;
    ensure!(connected.len() > 2, "{connected:?}");
    let listens = |query: &str| query.to_ascii_uppercase().starts_with("LISTEN");
    ensure!(
        connected.iter().any(|(_, query)| listens(query)),
        "{connected:?}"
    );
    ensure!(connected.iter().all(|(ssl, _)| *ssl), "{connected:?}");
    Ok(())
}
