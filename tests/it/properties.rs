//! Random commands on the executor over real databases, with two nodes each: no panic; results and kinds of rejections
//! equal those of a simple model of the catalog and the orders; a rejected command appends nothing; the read models
//! equal a fold of the log; SQLite and PostgreSQL return the same results.

mod api_fuzz;
mod conversions;
mod reference_model;
mod reference_orders;
mod request_generator;
mod trace;
mod trace_runner;

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use roentgen_tests::EngineKind;

use crate::test_app::fresh;
use reference_model::ModelAnswer;
use trace::{TraceStep, step};
use trace_runner::TraceRunner;

/// Number of traces of 20 to 39 commands, on each engine.
const CASES: u32 = 48;
const SHRINKS: u32 = 60;

/// Results that must occur in a run, or it proves little.
const REACHED: [&str; 14] = [
    "shown",
    "already_exists",
    "not_found",
    "no_such_modality",
    "no_such_procedure",
    "inactive",
    "final",
    "backwards",
    "start_after_end",
    "start_without_progress",
    "end_without_completion",
    "reason_without_cancellation",
    "version_mismatch",
    "key_reused",
];

#[test]
fn random_commands_match_reference_model() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let sqlite = runtime.block_on(TraceRunner::open(EngineKind::Sqlite))?;
    let postgres = runtime.block_on(TraceRunner::open(EngineKind::Postgres))?;
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    });
    let seen = RefCell::new(BTreeMap::new());
    let outcome = runner.run(&vec(step(), 20..40), |steps| {
        let answers = runtime.block_on(agree(&sqlite, &postgres, &steps));
        let answers = answers.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        count(&answers, &mut seen.borrow_mut());
        Ok(())
    });
    runtime.block_on(sqlite.close());
    runtime.block_on(postgres.close());
    outcome.context("see the commands above")?;
    let seen = seen.into_inner();
    eprintln!("{seen:?}");
    for kind in REACHED {
        ensure!(seen.contains_key(kind), "no command was answered {kind}");
    }
    Ok(())
}

async fn agree(
    sqlite: &TraceRunner,
    postgres: &TraceRunner,
    steps: &[TraceStep],
) -> Result<Vec<ModelAnswer>> {
    let tenant = fresh();
    let one = sqlite.play(tenant, steps).await.context("SQLite")?;
    let other = postgres.play(tenant, steps).await.context("PostgreSQL")?;
    ensure!(one == other, "SQLite: {one:#?}\nPostgreSQL: {other:#?}");
    Ok(one)
}

fn count(answers: &[ModelAnswer], seen: &mut BTreeMap<String, u32>) {
    for said in answers {
        let kind = match said {
            ModelAnswer::Shown(_) => "shown",
            ModelAnswer::Refused(kind) => kind.split(' ').next().unwrap_or_default(),
        };
        *seen.entry(kind.to_owned()).or_default() += 1;
    }
}
