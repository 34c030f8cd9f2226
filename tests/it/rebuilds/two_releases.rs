//! Nodes of two releases on one PostgreSQL, each with separate tables.

use anyhow::{Result, ensure};
use roentgen_tests::next_release::NEXT_RELEASE;
use roentgen_tests::server::program;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, Server, TestClient, TestDatabase, poll};

use super::{CLERKS, ClientPool, WAIT_TIMEOUT};
use crate::faults::verify;
use crate::rebuilds::read_your_writes_client::ReadYourWritesClient;
use crate::test_app::{SECRET, TestApp};
use crate::workflow::full_workflow::{PhiCanaries, run_workflow};

/// Read models with one row per stream, and with several.
const CHANGED: &str = "orders,series,reports";

async fn next_release(database: &TestDatabase) -> Result<Server> {
    Server::spawn(database, |command| {
        command.env("ROENTGEN_JWT_SECRET", SECRET);
        command.env(NEXT_RELEASE, CHANGED).arg("--dev");
    })
    .await
}

async fn ready(client: &TestClient) -> Result<()> {
    let asked = async || client.get("/health/ready").await;
    let is_ready = |result: &Result<roentgen_tests::TestResponse>| {
        result.as_ref().is_ok_and(|response| response.status == 200)
    };
    poll::wait_until("readiness", WAIT_TIMEOUT, asked, is_ready).await??;
    Ok(())
}

async fn number(database: &TestDatabase, sql: &str) -> Result<i64> {
    RawDatabase::on(database, DbFile::Read)
        .await?
        .number(sql)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_by_side_read_and_keep_up_their_own_tables() -> Result<()> {
    let house = TestApp::start(EngineKind::Postgres).await?;
    run_workflow(&house, &PhiCanaries::default()).await?;
    let here = house.client.clone();
    let at_one = || ReadYourWritesClient::new(&house, &here, &here);
    let office = ClientPool::open(std::iter::repeat_with(at_one).take(CLERKS));
    let new = next_release(&house.database).await?;
    let there = here.with_base_url(&new.base);
    ready(&there).await?;
    ensure!(office.close().await? > 20, "too little load");

    let crosswise = [(&here, &there), (&there, &here), (&there, &there)];
    let clerks = crosswise.map(|(writes, reads)| ReadYourWritesClient::new(&house, writes, reads));
    let office = ClientPool::open(clerks);
    let both = "SELECT count(*) FROM generations WHERE model = 'orders' AND state = 'live'";
    assert_eq!(number(&house.database, both).await?, 2);
    let moved = "SELECT count(*) FROM orders_v3 WHERE release = 'next'";
    let more = number(&house.database, moved).await? + 20;
    let rows = async || number(&house.database, moved).await;
    poll::wait_until("its rows", WAIT_TIMEOUT, rows, |result| {
        result.as_ref().is_ok_and(|number| *number > more)
    })
    .await??;
    ensure!(office.close().await? > 100, "too little load");
    let in_use = drop_old(&house.database)?;
    ensure!(
        in_use.contains("orders_v2 is in use; not dropped"),
        "{in_use}"
    );

    // The old release ends, and the new one takes over the tables that both had read.
    let mut clerk = ReadYourWritesClient::new(&house, &there, &there);
    assert_eq!(house.server.terminate()?, Some(0));
    for _ in 0..5 {
        clerk.works_and_reads().await?;
    }
    let gone = drop_old(&house.database)?;
    for table in ["orders_v2", "series_v2", "reports_v2"] {
        ensure!(gone.contains(&format!("{table} dropped")), "{gone}");
    }
    clerk.works_and_reads().await?;
    verify(&house.database)
}

fn drop_old(database: &TestDatabase) -> Result<String> {
    let mut command = program(database);
    command
        .env(NEXT_RELEASE, CHANGED)
        .args(["rebuild", "--drop"]);
    let output = command.args(CHANGED.split(',')).output()?;
    Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
}
