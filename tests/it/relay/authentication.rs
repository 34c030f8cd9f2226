//! Authentication at NATS: TLS, an NKey, a credentials file, a password; none of the secrets is printed.

use anyhow::{Result, ensure};
use roentgen_tests::nats::NatsAuth;
use roentgen_tests::{EngineKind, Nats, TestDatabase};

use super::{holds_the_log, order};
use crate::faults::run;
use crate::test_app::TestApp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guarded_server_is_entered_by_an_nkey_over_tls() -> Result<()> {
    let guard = NatsAuth::with_users()?;
    let tls = over_tls(&guard);
    let seed = guard.secret()?;
    let nats = Nats::start_guarded(guard).await?;
    let url = tls_url(&nats);
    let file = seed.display().to_string();
    let arguments = [&["--nats", &url, "--nats-nkey", &file], &each(&tls)[..]].concat();
    let secret = std::fs::read_to_string(seed)?;
    lets_in_and_is_not_told(&nats, &arguments, "[nkey]", &[&secret]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_server_is_entered_by_a_credentials_file() -> Result<()> {
    let guard = NatsAuth::with_an_operator()?;
    let credentials = guard.secret()?;
    let nats = Nats::start_guarded(guard).await?;
    let url = nats.url();
    let file = credentials.display().to_string();
    let arguments = ["--nats", &url, "--nats-credentials", &file];
    let text = std::fs::read_to_string(credentials)?;
    let secrets: Vec<&str> = text.lines().filter(|text| is_secret(text)).collect();
    ensure!(secrets.len() == 2, "{secrets:?}");
    lets_in_and_is_not_told(&nats, &arguments, "[credentials]", &secrets).await
}

/// Returns whether the line is the JWT or the seed.
fn is_secret(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('-')
}

/// Checks that a server with these arguments publishes, and that neither its log nor its configuration contains the
/// secrets.
async fn lets_in_and_is_not_told(
    nats: &Nats,
    arguments: &[&str],
    shown_as: &str,
    secrets: &[&str],
) -> Result<()> {
    let serving = [&["--dev", "--log", "trace"], arguments].concat();
    let house = TestApp::open_with(EngineKind::Sqlite, &serving).await?;
    order(&house, 3).await?;
    holds_the_log(nats, &house.database).await?;
    let shown = run(&house.database, &[&["config", "--dev"], arguments].concat())?;
    ensure!(
        shown.code == Some(0) && shown.printed.contains(shown_as),
        "{}",
        shown.printed
    );
    let told = [house.server.logged()?, shown.printed];
    for secret in secrets {
        ensure!(!told.iter().any(|text| text.contains(secret)), "{told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_the_url_is_used_and_not_told() -> Result<()> {
    let guard = NatsAuth::with_users()?;
    let tls = over_tls(&guard);
    let nats = Nats::start_guarded(guard).await?;
    let url = tls_url(&nats).replace("://", "://tests:xyzzy@");
    let arguments = [
        &["--dev", "--log", "trace", "--nats", &url],
        &each(&tls)[..],
    ]
    .concat();
    let house = TestApp::open_with(EngineKind::Sqlite, &arguments).await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    let shown = run(&house.database, &[&["config"], &arguments[1..]].concat())?;
    let told = [house.server.logged()?, shown.printed];
    ensure!(!told.iter().any(|text| text.contains("xyzzy")), "{told:?}");
    Ok(())
}

fn tls_url(nats: &Nats) -> String {
    nats.url().replace("nats://", "tls://")
}

/// Returns the arguments for the trusted CA and the client certificate.
fn over_tls(guard: &NatsAuth) -> Vec<String> {
    let named = [
        ("--nats-ca", guard.certificate()),
        ("--nats-certificate", guard.certificate()),
        ("--nats-key", guard.key()),
    ];
    let named = named.map(|(name, path)| [name.to_owned(), path.display().to_string()]);
    named.concat()
}

fn each(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn all_that_is_wrong_is_named() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    let wrong = [
        ("--nats", "http://somewhere"),
        ("--nats-replicas", "9"),
        ("--nats-nkey", "/nowhere/seed"),
        ("--nats-certificate", "/nowhere/cert"),
        ("--nats-max-age", "soon"),
        ("--event-key-file", "/nowhere/event-key.pem"),
    ];
    let arguments = wrong.iter().flat_map(|(name, value)| [*name, *value]);
    let arguments: Vec<&str> = ["serve", "--dev"].into_iter().chain(arguments).collect();
    let ran = run(&database, &arguments)?;
    assert_eq!(ran.code, Some(64), "{}", ran.printed);
    for (name, _) in wrong {
        ensure!(
            ran.printed.contains(&format!("{name}:")),
            "{name}: {}",
            ran.printed
        );
    }
    let alone = run(&database, &["serve", "--dev", "--nats-max-age", "7d"])?;
    assert_eq!(alone.code, Some(64), "{}", alone.printed);
    ensure!(
        alone.printed.contains("requires --nats"),
        "{}",
        alone.printed
    );
    Ok(())
}
