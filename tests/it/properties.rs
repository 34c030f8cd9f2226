//! Random commands against the executor over real stores, two nodes each: no panic; what is answered is what a naive
//! model of the catalog and the orders says, refusals by their kind; a refused command appends nothing; the read models
//! equal a fold of the log; SQLite and PostgreSQL answer alike.

mod commands;
mod model;
mod orders;
mod play;
mod words;

use anyhow::{Context as _, Result};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use roentgen_tests::Engine;

use crate::story::fresh;
use commands::{Step, step};
use play::House;

/// Times up to 40 commands, on each engine.
const CASES: u32 = 16;
const SHRINKS: u32 = 60;

#[test]
fn random_commands_do_what_a_naive_model_says() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let sqlite = runtime.block_on(House::open(Engine::Sqlite))?;
    let postgres = runtime.block_on(House::open(Engine::Postgres))?;
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&vec(step(), 20..40), |steps| {
        runtime
            .block_on(agree(&sqlite, &postgres, &steps))
            .map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    runtime.block_on(sqlite.close());
    runtime.block_on(postgres.close());
    outcome.context("see the commands above")
}

async fn agree(sqlite: &House, postgres: &House, steps: &[Step]) -> Result<()> {
    let tenant = fresh();
    let one = sqlite.play(tenant, steps).await.context("SQLite")?;
    let other = postgres.play(tenant, steps).await.context("PostgreSQL")?;
    anyhow::ensure!(one == other, "SQLite: {one:#?}\nPostgreSQL: {other:#?}");
    Ok(())
}
