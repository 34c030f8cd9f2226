//! One tenant's template schemas are made to exhaust time and memory; another tenant is served, and the server's memory
//! stays bounded.

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(tenant_is_served_while_another_writes_schema_bombs);

const TEMPLATES: &str = "/radiology/templates";
/// Number of callers that write the schemas, and number of times that each writes all of them.
const CALLERS: usize = 8;
const TIMES: usize = 3;
/// Number of floods that fill the caches of schemas and of states; without a bound, each takes another 100 MB.
const FILLING: usize = 5;
/// Number of floods that are measured.
const MEASURED: usize = 2;
/// Number of rounds of the other tenant during each measured flood.
const ROUNDS: usize = 4;
/// Maximum growth of memory once the caches are full, in bytes.
const MOST_GROWTH: u64 = 64 << 20;

/// Returns schemas that used to take seconds and up to 1 GB each; `n` makes them distinct.
fn bombs(n: usize) -> Vec<Value> {
    let patterns = |most: usize| {
        let each = (0..most).map(|at| json!({ "pattern": format!("(a{{90}}){{110}}{n}_{at}") }));
        json!({ "allOf": each.collect::<Vec<_>>() })
    };
    let asking = |inner| json!({ "unevaluatedProperties": false, "allOf": [inner] });
    let nested = (0..30).fold(json!({ "title": n.to_string() }), |inner, _| asking(inner));
    vec![
        patterns(1_300),
        patterns(40),
        nested,
        json!({ "pattern": format!(r"\p{{L}}{{0,30}}{n}b") }),
        json!({ "pattern": format!("(a{{1000}}){{1000}}{n}") }),
        json!({ "allOf": vec![json!({ "minimum": n }); 3_000] }),
    ]
}

fn template(schema: &Value) -> Value {
    let code = format!("T{}", fresh().simple());
    json!({ "code": code, "name": "x", "template_type": "structured", "schema": schema })
}

/// Starts all callers of the flood.
fn flood(client: &TestClient, number: usize) -> JoinSet<Result<()>> {
    let first = number * CALLERS;
    let callers = (first..first + CALLERS).map(|caller| writes_bombs(client.clone(), caller));
    callers.collect()
}

async fn writes_bombs(client: TestClient, caller: usize) -> Result<()> {
    for time in 0..TIMES {
        for bomb in bombs(caller * TIMES + time) {
            let answer = client.post(TEMPLATES, &template(&bomb)).await?;
            let known = [201, 422, 503].contains(&answer.status);
            ensure!(known, "a bomb was answered {}", answer.status);
        }
    }
    Ok(())
}

/// Creates a template of the other tenant, and checks that the server is alive.
async fn works(house: &TestApp) -> Result<()> {
    let schema = json!({ "properties": { "size_mm": { "type": "number", "minimum": 0 } } });
    let client = house.client.repeating();
    let created = client.post(TEMPLATES, &template(&schema)).await?;
    ensure!(created.status == 201, "{created:?}");
    let nobody = TestClient::new(&house.server.base);
    let live = nobody.get("/health/live").await?;
    ensure!(live.status == 200, "{live:?}");
    Ok(())
}

async fn tenant_is_served_while_another_writes_schema_bombs(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let other = TestClient::dev(&house.server.base, fresh());
    // Retried, so that they fill the caches on a busy machine, too: what is answered 503 is not cached.
    for number in 0..FILLING {
        for ended in flood(&other.repeating(), number).join_all().await {
            ended?;
        }
    }
    works(&house).await?;
    let before = house.server.resident_bytes()?;
    for number in FILLING..FILLING + MEASURED {
        let writers = flood(&other, number);
        for _ in 0..ROUNDS {
            works(&house).await?;
        }
        for ended in writers.join_all().await {
            ended?;
        }
    }
    works(&house).await?;
    let growth = house.server.resident_bytes()?.saturating_sub(before);
    ensure!(growth <= MOST_GROWTH, "the server grew by {growth} bytes");
    Ok(())
}
