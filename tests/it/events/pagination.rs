//! The feed, read in pages.

use std::collections::BTreeSet;

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(
    are_what_the_contract_lists,
    are_dense_for_the_operator_and_own_for_a_tenant,
    are_those_that_every_filter_lets_through,
    refuse_what_they_do_not_know,
);

/// Members of an envelope whose event was caused only by a caller.
const MEMBERS: [&str; 13] = [
    "id",
    "position",
    "tenant_id",
    "stream",
    "version",
    "type",
    "schema_version",
    "recorded_at",
    "actor",
    "correlation_id",
    "data",
    "phi",
    "hash",
];
const AS_IN_THE_ORDER: [&str; 10] = [
    "patient_id",
    "encounter_id",
    "imaging_procedure_id",
    "procedure_code",
    "procedure_name",
    "modality_code",
    "priority",
    "requested_at",
    "accession_number",
    "fhir_service_request_id",
];

async fn are_what_the_contract_lists(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let practitioner = fresh();
    let integration = house.caller("integration")?;
    let told = json!({ "patient": { "mrn": "M" }, "encounter_id": practitioner });
    let created = integration
        .post("/imaging/orders", &house.order_with(told))
        .await?;
    let id = created.text_at("/id");
    let page = house.client.get(&format!("/events?stream_id={id}")).await?;
    assert_eq!(page.header("content-type"), "application/x-ndjson");
    let events = page.lines();
    assert_eq!(events.len(), 1, "{page:?}");
    let event = &events[0];
    let members = event.as_object().map(|object| object.keys().cloned());
    let members: BTreeSet<String> = members.into_iter().flatten().collect();
    assert_eq!(members, MEMBERS.map(str::to_owned).into());
    assert_eq!(event["stream"], json!({ "type": "ImagingOrder", "id": id }));
    let who = event["actor"]["practitioner_id"].clone();
    assert!(who.is_string(), "{event}");
    assert_eq!(
        event["actor"],
        json!({ "sub": who, "practitioner_id": who, "roles": ["integration"] })
    );
    assert_eq!(event["tenant_id"], json!(house.tenant));
    assert_eq!(event["position"], created.number("log-position"));
    assert_eq!([&event["version"], &event["schema_version"]], [1, 1]);
    assert_eq!(event["recorded_at"], created.json()["created_at"]);
    assert_eq!(event["type"], "ImagingOrder.Created");
    assert_eq!(event["phi"], "sealed");
    assert!(
        event["id"]
            .as_str()
            .is_some_and(|text| Uuid::parse_str(text).is_ok()),
        "{event}"
    );
    let hash = event["hash"].as_str().unwrap_or_default();
    assert!(
        hash.len() == 64 && hash.bytes().all(|bytes| bytes.is_ascii_hexdigit()),
        "{hash}"
    );
    let order = created.json();
    for member in AS_IN_THE_ORDER {
        assert_eq!(event["data"][member], order[member], "{member}");
    }
    assert_eq!(event["data"]["order_id"], json!(id));
    Ok(())
}

async fn are_dense_for_the_operator_and_own_for_a_tenant(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let other = TestClient::dev(&house.server.base, fresh());
    let operator = house.operator()?;
    create_catalog(&other).await?;
    for _ in 0..5 {
        house.create_order(json!({})).await?;
        other
            .post("/imaging/modalities", &json!({ "code": "MR", "name": "x" }))
            .await?;
    }
    let head = log_head(&house.client).await?;
    let whole = operator.get("/events").await?.lines();
    assert_eq!(numbers(&whole, "position"), (1..=head).collect::<Vec<_>>());
    let times: Vec<String> = whole
        .iter()
        .map(|value| value["recorded_at"].to_string())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let own = house.client.get("/events").await?.lines();
    let expected: Vec<&Value> = whole
        .iter()
        .filter(|value| value["tenant_id"] == json!(house.tenant))
        .collect();
    assert_eq!(own.iter().collect::<Vec<_>>(), expected);
    assert!(own.len() < whole.len());
    for reader in [&house.client, &operator] {
        let mut after = 0;
        let mut seen = Vec::new();
        while after < head {
            let page = reader
                .get(&format!("/events?after={after}&limit=3"))
                .await?;
            let scanned = page.number("scanned-to");
            assert!(page.lines().len() <= 3 && scanned > after, "{page:?}");
            assert_eq!(page.number("log-position"), head);
            seen.extend(page.lines());
            after = scanned;
        }
        assert_eq!(seen, reader.get("/events").await?.lines());
    }
    let end = operator.get(&format!("/events?after={head}")).await?;
    assert_eq!((end.status, end.text.as_str()), (200, ""), "{end:?}");
    let positions = ["scanned-to", "log-position"].map(|name| end.number(name));
    assert_eq!(positions, [head, head], "{end:?}");
    Ok(())
}

async fn are_those_that_every_filter_lets_through(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    let order = house.create_order(json!({ "patient_id": patient })).await?;
    let place = order.header("location");
    house
        .client
        .patch(&place, &json!({ "status": "scheduled" }))
        .await?;
    house.create_order(json!({ "patient_id": patient })).await?;
    house.create_order(json!({})).await?;
    let whole = house.client.get("/events").await?.lines();
    let head = log_head(&house.client).await?;
    let id = order.text_at("/id");
    for (query, passes) in [
        (
            "types=ImagingOrder.Created".to_owned(),
            (|value: &Value, _: &str, _: &str| value["type"] == "ImagingOrder.Created")
                as fn(&Value, &str, &str) -> bool,
        ),
        (
            "types=ImagingOrder.Scheduled,ImagingModality.Created".to_owned(),
            |value, _, _| {
                value["type"] == "ImagingOrder.Scheduled"
                    || value["type"] == "ImagingModality.Created"
            },
        ),
        ("stream_type=ImagingOrder".to_owned(), |value, _, _| {
            value["stream"]["type"] == "ImagingOrder"
        }),
        (format!("stream_id={id}"), |value, id, _| {
            value["stream"]["id"] == id
        }),
        (format!("patient_id={patient}"), |value, _, patient| {
            value["data"]["patient_id"] == patient
        }),
        (
            format!("patient_id={patient}&types=ImagingOrder.Created"),
            |value, _, patient| {
                value["data"]["patient_id"] == patient && value["type"] == "ImagingOrder.Created"
            },
        ),
        ("types=ImagingOrder.Completed".to_owned(), |_, _, _| false),
        ("stream_type=Nothing".to_owned(), |_, _, _| false),
        (format!("stream_id={}", fresh()), |_, _, _| false),
    ] {
        let page = house.client.get(&format!("/events?{query}")).await?;
        let patient = patient.to_string();
        let expected: Vec<&Value> = whole
            .iter()
            .filter(|value| passes(value, &id, &patient))
            .collect();
        assert_eq!(page.lines().iter().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(page.number("scanned-to"), head, "{query}");
    }
    Ok(())
}

async fn refuse_what_they_do_not_know(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let queries = [
        "after=x",
        "after=-1",
        "after=18446744073709551615",
        "limit=0",
        "limit=5001",
        "limit=x",
        "wait=61",
        "wait=x",
        "wait=-1",
        "stream_id=x",
        "patient_id=x",
        "phi=yes",
        "type=ImagingOrder.Created",
        "cursor=AAAA",
        "after=1&after=1",
        "types=a%00",
        "stream_type=%00",
    ];
    let paths = queries.map(|text| format!("/events?{text}"));
    let refused = paths
        .iter()
        .map(|path| RejectedRequest::get(path, ProblemCode::InvalidParameter));
    assert_all_rejected(&house.client, refused.collect()).await?;
    let other = format!("/events?tenant_id={}", fresh());
    assert_all_rejected(
        &house.client,
        vec![RejectedRequest::get(&other, ProblemCode::OtherTenant)],
    )
    .await
}

fn numbers(events: &[Value], member: &str) -> Vec<u64> {
    events
        .iter()
        .filter_map(|event| event[member].as_u64())
        .collect()
}
