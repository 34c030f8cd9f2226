//! Another tenant's ids cost the same statements as unknown ids, so that response times do not reveal them.

mod ids;
mod places;
mod table;

use std::time::Duration;

use anyhow::Result;
use roentgen_tests::{EngineKind, TestClient, poll};

use crate::test_app::{TestApp, fresh, on_both_engines, token_of};
use crate::workflow::full_workflow::{Catalog, PhiCanaries, play_again};

use ids::{Ids, Own};
use table::{Row, rows};

on_both_engines!(foreign_id_costs_what_an_unknown_id_costs);

/// Metrics of work for tenants: statements and their rows, key lookups, opened sealed parts.
const COUNTERS: [&str; 4] = [
    "roentgen_tenant_reads_total ",
    "roentgen_tenant_read_rows_total ",
    "roentgen_key_lookups_total ",
    "roentgen_sealed_parts_opened_total ",
];
const QUIET_TIMEOUT: Duration = Duration::from_secs(30);
/// Roles that together have every permission of a tenant's caller.
const ROLES: [&str; 5] = [
    "admin",
    "radiologist",
    "technologist",
    "integration",
    "ai_worker",
];

/// Caller of another tenant, and an operator that reads the metrics.
struct Stranger {
    client: TestClient,
    operator: TestClient,
}

async fn foreign_id_costs_what_an_unknown_id_costs(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let catalog = Catalog::furnish(&house).await?;
    let words = PhiCanaries::default();
    let whole = play_again(&house, &catalog, &words).await?;
    let token = token_of(&house.database, &ROLES, Some(fresh()), Some(fresh()))?;
    let stranger = Stranger {
        client: TestClient::new(&house.server.base).bearer(&token),
        operator: house.operator()?,
    };
    let own = Own::furnish(&stranger.client).await?;
    stranger.quiet().await?;
    let foreign = Ids::create(&house, &whole).await?;
    let head = house.client.get(&whole.order).await?.number("log-position");
    let asked = three_times(|| rows(&foreign, &own, head));
    let of_nobody = || three_times(|| rows(&Ids::unknown(), &own, head));
    let mut wrong = Vec::new();
    for ((row, warm), (again, unknown)) in asked.zip(of_nobody()).zip(of_nobody().zip(of_nobody()))
    {
        // Both find the cache entries of the request before them.
        stranger.asks(&warm).await?;
        let found = stranger.asks(&row).await?;
        stranger.asks(&again).await?;
        let expected = stranger.asks(&unknown).await?;
        let answer = (expected.status, expected.code.as_str());
        let [row, ..] = row;
        if found != expected || answer != row.answer {
            let route = row.route;
            let place = row.place;
            wrong.push(format!(
                "{route} by {place}: {found:?}, of an unknown id {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{COUNTERS:?}: {wrong:#?}");
    Ok(())
}

/// Returns each row of a table in three variants; those of a write have fresh ids of their own.
fn three_times(table: impl Fn() -> Vec<Row>) -> impl Iterator<Item = [Row; 3]> {
    let others = table().into_iter().zip(table());
    let rows = table().into_iter().zip(others);
    rows.map(|(first, (second, third))| [first, second, third])
}

/// The table contains every id that a caller can send: those in the paths of routes, and those in queries and bodies
/// that the OpenAPI document names.
#[test]
fn no_place_of_an_id_is_missing() {
    let ids = Ids::unknown();
    let rows = rows(&ids, &Own::unknown(), 1);
    let in_table = rows.iter().map(Row::position).collect();
    assert_eq!(places::all(), in_table);
}

/// Response of a request, and the increase of the counters.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    status: u16,
    code: String,
    cost: [u64; COUNTERS.len()],
}

impl Stranger {
    /// Sends a request three times and returns its response and typical cost. That of a write is the least: policies
    /// follow it, and what they do meanwhile is counted, too. That of others is the median, since a cached state
    /// sometimes outlives its key and makes one of them cheaper or dearer.
    async fn asks(&self, rows: &[Row; 3]) -> Result<Asked> {
        let [first, second, third] = rows;
        let first = self.asks_once(first).await?;
        let others = [self.asks_once(second).await?, self.asks_once(third).await?];
        let is_written = first.status < 300 && !rows[0].request()?.0.is_safe();
        let cost = std::array::from_fn(|n| {
            let mut costs = [first.cost[n], others[0].cost[n], others[1].cost[n]];
            costs.sort_unstable();
            costs[usize::from(!is_written)]
        });
        Ok(Asked { cost, ..first })
    }

    async fn asks_once(&self, row: &Row) -> Result<Asked> {
        let before = self.counted().await?;
        let (method, path, body) = row.request()?;
        let is_read = method.is_safe();
        let answer = self.client.send(method, &path, body).await?;
        let after = self.counted().await?;
        if !is_read && answer.status < 300 {
            self.quiet().await?;
        }
        Ok(Asked {
            status: answer.status,
            code: answer.code(),
            cost: std::array::from_fn(|n| after[n] - before[n]),
        })
    }

    async fn counted(&self) -> Result<[u64; COUNTERS.len()]> {
        let text = self.operator.get("/metrics").await?.text;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
        };
        Ok(COUNTERS.map(value))
    }

    /// Waits until the policies are idle and the counters no longer change.
    async fn quiet(&self) -> Result<()> {
        let lag = async || -> Result<String> {
            let text = self.operator.get("/metrics").await?.text;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("roentgen_policy_lag_events "));
            Ok(line.unwrap_or_default().to_owned())
        };
        let done = |lag: &Result<String>| lag.as_ref().is_ok_and(|lag| lag == "0");
        poll::wait_until("the policies' lag", QUIET_TIMEOUT, lag, done).await??;
        Ok(())
    }
}
