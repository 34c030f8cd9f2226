//! The list of orders, compared with a simple model of the filters.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(are_those_that_every_filter_lets_through);

/// Request times of the orders, unsorted.
const TIMES: [&str; 6] = [
    "2026-02-01T00:00:00.000Z",
    "2026-01-30T23:59:59.999Z",
    "2026-01-31T12:00:00.000Z",
    "2026-01-31T23:59:59.999Z",
    "2026-01-31T00:00:00.000Z",
    "2026-01-31T12:00:00.001Z",
];
const STATUSES: [&str; 3] = ["requested", "scheduled", "cancelled"];
const PRIORITIES: [&str; 3] = ["routine", "urgent", "stat"];

async fn are_those_that_every_filter_lets_through(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patients = [fresh(), fresh()];
    let visits = [fresh(), fresh()];
    let orders = ordered(&house, patients, visits).await?;
    let patient = patients[1].to_string();
    let visit = visits[0].to_string();
    for filters in asked(&patient, &visit) {
        let query: String = filters
            .iter()
            .map(|(name, text)| format!("&{name}={text}"))
            .collect();
        let path = format!("/imaging/orders?limit=500{query}");
        let listed = house.client.get(&path).await?;
        assert_eq!(listed.status, 200, "{path}: {listed:?}");
        let mut rows = listed.json().as_array().cloned().unwrap_or_default();
        let times: Vec<String> = rows.iter().map(|row| place(row).0).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{path}: newest first");
        rows.sort_by_key(place);
        let expected = orders.iter().filter(|order| passes(order, &filters));
        let expected: Vec<Value> = expected.cloned().collect();
        assert_eq!(rows.len(), expected.len(), "{path}");
        assert_eq!(rows, expected, "{path}");
    }
    Ok(())
}

/// Creates orders of every kind, and returns them by time and id.
async fn ordered(house: &TestApp, patients: [Uuid; 2], visits: [Uuid; 2]) -> Result<Vec<Value>> {
    let mut orders = Vec::new();
    for n in 0..36 {
        let mut told = json!({ "patient_id": patients[n % 2], "requested_at": TIMES[n % 6],
            "priority": PRIORITIES[n / 2 % 3], "accession_number": format!("ACC {n}") });
        if n % 5 != 0 {
            told["encounter_id"] = json!(visits[n / 3 % 2]);
        }
        let order = house.create_order(told).await?;
        let status = json!({ "status": STATUSES[n / 4 % 3] });
        let at = order.header("location");
        orders.push(house.client.patch(&at, &status).await?.json());
    }
    orders.sort_by_key(place);
    Ok(orders)
}

fn place(order: &Value) -> (String, String) {
    (order["requested_at"].to_string(), order["id"].to_string())
}

type Filters<'a> = Vec<(&'a str, &'a str)>;

/// Returns no filter, each filter alone, and all pairs of filters.
fn asked<'a>(patient: &'a str, visit: &'a str) -> Vec<Filters<'a>> {
    let single: Filters<'_> = vec![
        ("patient_id", patient),
        ("encounter_id", visit),
        ("accession_number", "ACC 7"),
        ("accession_number", "ACC 99"),
        ("status", "requested"),
        ("status", "scheduled"),
        ("status", "completed"),
        ("status", "cancelled"),
        ("priority", "stat"),
        ("priority", "routine"),
        ("from_date", "2026-01-31"),
        ("to_date", "2026-01-31"),
        ("from_date", "2026-01-31T12:00:00.001Z"),
        ("to_date", "2026-01-31T12:00:00Z"),
        ("to_date", "2026-01-31T13:00:00%2B01:00"),
        ("from_date", "2026-02-02"),
        ("to_date", "2026-01-29"),
    ];
    let mut asked = vec![Vec::new()];
    for (at, one) in single.iter().enumerate() {
        asked.push(vec![*one]);
        let others = single.iter().skip(at + 1).filter(|pair| pair.0 != one.0);
        asked.extend(others.map(|other| vec![*one, *other]));
    }
    asked.push(vec![
        ("patient_id", patient),
        ("encounter_id", visit),
        ("status", "scheduled"),
        ("priority", "urgent"),
        ("from_date", "2026-01-31"),
        ("to_date", "2026-01-31"),
    ]);
    asked
}

fn passes(order: &Value, filters: &[(&str, &str)]) -> bool {
    filters.iter().all(|(name, value)| {
        let requested = order["requested_at"].as_str().unwrap_or_default();
        match (*name, *value) {
            ("from_date", "2026-01-31T12:00:00.001Z") => requested >= "2026-01-31T12:00:00.001Z",
            ("from_date", day) => &requested[..10] >= day,
            ("to_date", day) if day.len() == 10 => &requested[..10] <= day,
            ("to_date", _) => requested <= "2026-01-31T12:00:00.000Z",
            (member, value) => order[member] == value,
        }
    })
}
