//! Random requests to every operation of `/openapi.json`, with bodies and parameters generated from its schemas and
//! from ids in earlier responses, by callers of every role, after a whole workflow: no response is a 5xx, a rejected
//! request appends nothing and has no effects, and at the end every read model equals the log and the chain is intact.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::Value;

use super::request_generator::{Operation, RequestGenerator, operations};
use crate::faults::verify;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, fresh, on_both_engines};
use crate::workflow::full_workflow::{PhiCanaries, run_workflow};

on_both_engines!(is_never_answered_with_a_failure_and_what_is_refused_leaves_nothing);

/// Number of requests per run.
const REQUESTS: u64 = 2500;
const ROLES: [&str; 6] = [
    "clinician",
    "technologist",
    "radiologist",
    "ai_worker",
    "integration",
    "auditor",
];
/// Number of operations that must succeed in a run, or it proves little.
const REACHED: usize = 40;

async fn is_never_answered_with_a_failure_and_what_is_refused_leaves_nothing(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let whole = run_workflow(&house, &PhiCanaries::default()).await?;
    let operations = operations(&house.client.get("/openapi.json").await?.json())?;
    let (_, seed) = fresh().as_u64_pair();
    let mut grower = RequestGenerator::new(seed);
    for place in &whole.places() {
        let list = place.rsplit_once('/').map_or(*place, |(list, _)| list);
        grower.learn(list, &house.client.get(place).await?.json());
    }
    let callers = callers(&house, whole.reader)?;
    let said = ask(&callers, &operations, &mut grower).await;
    let (refused, reached) = said.with_context(|| format!("seed {seed}"))?;
    ensure!(
        reached.len() >= REACHED,
        "seed {seed}: only {reached:#?} ever succeeded"
    );
    nothing_came_of(&house, &refused).await?;
    assert_match_log(&house.database).await?;
    verify(&house.database)
}

fn callers(house: &TestApp, reader: TestClient) -> Result<Vec<TestClient>> {
    let mut callers = vec![house.client.clone(), house.client.clone(), reader];
    for role in ROLES {
        callers.push(house.caller(role)?);
    }
    Ok(callers)
}

type Refused = BTreeMap<String, String>;

/// Returns the rejected requests by correlation id, and the operations that succeeded.
async fn ask(
    callers: &[TestClient],
    operations: &[Operation],
    grower: &mut RequestGenerator,
) -> Result<(Refused, BTreeSet<String>)> {
    let mut refused = Refused::new();
    let mut reached = BTreeSet::new();
    for turn in 0..REQUESTS {
        let operation = &operations[usize::try_from(turn)? % operations.len()];
        let correlation = fresh().to_string();
        let caller = grower
            .one_of(callers)
            .with("x-correlation-id", &correlation);
        let path = grower.path(operation);
        let body = grower.body(operation);
        let told = body.as_ref().map(Value::to_string).unwrap_or_default();
        let asked = format!("{} {path} {told}", operation.method);
        let answer = caller
            .send(operation.method.clone(), &path, told.into())
            .await
            .with_context(|| asked.clone())?;
        ensure!(answer.status < 500, "{asked}: {answer:?}");
        if answer.status < 300 {
            reached.insert(operation.name());
            grower.learn(&operation.path, &answer.json());
        } else if operation.method != Method::GET {
            refused.insert(correlation, format!("{asked}: {}", answer.text));
        }
    }
    Ok((refused, reached))
}

async fn nothing_came_of(house: &TestApp, refused: &Refused) -> Result<()> {
    let mut after = 0;
    loop {
        let page = house
            .client
            .get(&format!("/events?limit=5000&after={after}"))
            .await?;
        for event in page.lines() {
            let correlation = event["correlation_id"].as_str().unwrap_or_default();
            ensure!(
                !refused.contains_key(correlation),
                "{:?}: {event}",
                refused.get(correlation)
            );
        }
        let scanned = page.number("scanned-to");
        if scanned == after {
            return Ok(());
        }
        after = scanned;
    }
}
