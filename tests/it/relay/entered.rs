//! How NATS is entered: TLS, an NKey, a password; and that none of it is told on.

use anyhow::{Result, ensure};
use roentgen_tests::nats::Guard;
use roentgen_tests::{Database, Engine, Nats};

use super::{holds_the_log, order};
use crate::faults::run;
use crate::story::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guarded_server_is_entered_by_an_nkey_over_tls() -> Result<()> {
    let guard = Guard::new()?;
    let (certificate, seed) = (guard.certificate(), guard.seed()?);
    let nats = Nats::start_guarded(guard).await?;
    let (url, certificate) = (tls(&nats), certificate.display().to_string());
    let key = seed.display().to_string();
    let arguments = [
        "--dev",
        "--nats",
        &url,
        "--nats-ca",
        &certificate,
        "--nats-nkey",
        &key,
    ];
    let house = House::open_with(Engine::Sqlite, &arguments).await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    let secret = std::fs::read_to_string(seed)?;
    ensure!(!house.server.logged()?.contains(&secret));
    let shown = run(&house.database, &[&["config"], &arguments[1..]].concat())?;
    ensure!(
        shown.code == Some(0) && shown.printed.contains("[nkey]"),
        "{}",
        shown.printed
    );
    ensure!(!shown.printed.contains(&secret), "{}", shown.printed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_the_url_is_used_and_not_told() -> Result<()> {
    let guard = Guard::new()?;
    let certificate = guard.certificate().display().to_string();
    let nats = Nats::start_guarded(guard).await?;
    let url = tls(&nats).replace("://", "://tests:xyzzy@");
    let arguments = ["--dev", "--nats", &url, "--nats-ca", &certificate];
    let house = House::open_with(Engine::Sqlite, &arguments).await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    let shown = run(&house.database, &[&["config"], &arguments[1..]].concat())?;
    let told = [house.server.logged()?, shown.printed];
    ensure!(!told.iter().any(|it| it.contains("xyzzy")), "{told:?}");
    Ok(())
}

fn tls(nats: &Nats) -> String {
    nats.url().replace("nats://", "tls://")
}

#[tokio::test]
async fn all_that_is_wrong_is_named() -> Result<()> {
    let database = Database::new(Engine::Sqlite).await?;
    let wrong = [
        ("--nats", "http://somewhere"),
        ("--nats-replicas", "9"),
        ("--nats-nkey", "/nowhere/seed"),
        ("--nats-certificate", "/nowhere/cert"),
        ("--nats-max-age", "soon"),
    ];
    let arguments = wrong.iter().flat_map(|(name, value)| [*name, *value]);
    let arguments: Vec<&str> = ["serve"].into_iter().chain(arguments).collect();
    let ran = run(&database, &arguments)?;
    assert_eq!(ran.code, Some(64), "{}", ran.printed);
    for (name, _) in wrong {
        ensure!(
            ran.printed.contains(&format!("{name}:")),
            "{name}: {}",
            ran.printed
        );
    }
    let alone = run(&database, &["serve", "--nats-max-age", "7d"])?;
    assert_eq!(alone.code, Some(64), "{}", alone.printed);
    ensure!(
        alone.printed.contains("without --nats"),
        "{}",
        alone.printed
    );
    Ok(())
}
