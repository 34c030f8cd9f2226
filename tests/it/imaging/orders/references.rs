//! References from and to orders.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, create_catalog, fresh, on_both_engines};

on_both_engines!(
    to_what_is_not_there_or_not_active,
    to_a_number_that_is_taken,
    across_tenants,
    to_paths_and_methods_that_are_not_there,
);

const ORDERS: &str = "/imaging/orders";

async fn to_what_is_not_there_or_not_active(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let missing = house
        .order_with(json!({ "imaging_procedure_id": fresh() }))
        .to_string();
    let at = &["/imaging_procedure_id"];
    let refused = RejectedRequest::post(ORDERS, missing, ProblemCode::ReferenceNotFound).at(at);
    assert_all_rejected(&house.client, vec![refused]).await?;
    let modality = house
        .client
        .get("/imaging/modalities")
        .await?
        .ids()
        .concat();
    let no_procedure = house
        .order_with(json!({ "imaging_procedure_id": modality }))
        .to_string();
    let refused =
        RejectedRequest::post(ORDERS, no_procedure, ProblemCode::ReferenceNotFound).at(at);
    assert_all_rejected(&house.client, vec![refused]).await?;

    let place = format!("/imaging/procedures/{}", house.procedure);
    let body = house.order().to_string();
    house
        .client
        .patch(&place, &json!({ "is_active": false }))
        .await?;
    let refused = RejectedRequest::post(ORDERS, body, ProblemCode::Inactive).at(at);
    assert_all_rejected(&house.client, vec![refused]).await?;
    house
        .client
        .patch(&place, &json!({ "is_active": true }))
        .await?;
    house.create_order(json!({})).await?;
    Ok(())
}

async fn to_a_number_that_is_taken(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let number = json!({ "accession_number": "ACC-1" });
    let first = house.create_order(number.clone()).await?;
    let same = |text: &str| {
        house
            .order_with(json!({ "accession_number": text }))
            .to_string()
    };
    let refused = ["ACC-1", "  ACC-1 "]
        .map(|text| RejectedRequest::post(ORDERS, same(text), ProblemCode::AlreadyExists));
    assert_all_rejected(&house.client, refused.into()).await?;
    house
        .client
        .patch(&first.header("location"), &json!({ "status": "cancelled" }))
        .await?;
    let again = RejectedRequest::post(ORDERS, same("ACC-1"), ProblemCode::AlreadyExists);
    assert_all_rejected(&house.client, vec![again]).await?;
    let other = TestClient::dev(&house.server.base, fresh());
    let procedure = create_catalog(&other).await?;
    let body = json!({ "patient_id": fresh(), "imaging_procedure_id": procedure, "indication": "x",
        "accession_number": "ACC-1" });
    let elsewhere = other.post(ORDERS, &body).await?;
    assert_eq!(
        elsewhere.status, 201,
        "a number is taken in its own tenant only: {elsewhere:?}"
    );
    assert_ne!(elsewhere.text_at("/id"), first.text_at("/id"));
    Ok(())
}

async fn across_tenants(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order = house
        .create_order(json!({ "accession_number": "A" }))
        .await?;
    let place = order.header("location");
    let other = TestClient::dev(&house.server.base, fresh());
    let theirs = fresh();
    let query = format!("?tenant_id={}", house.tenant);
    let body = house.order().to_string();
    let refused = vec![
        RejectedRequest::get(&place, ProblemCode::NotFound),
        RejectedRequest::patch(&place, r#"{"status":"scheduled"}"#, ProblemCode::NotFound),
        RejectedRequest::patch(&place, "{}", ProblemCode::NotFound),
        RejectedRequest::post(ORDERS, body, ProblemCode::ReferenceNotFound),
    ];
    assert_all_rejected(&other, refused).await?;
    let as_of = format!("{place}?as_of={}", order.number("log-position"));
    assert_all_rejected(
        &other,
        vec![RejectedRequest::get(&as_of, ProblemCode::NotFound)],
    )
    .await?;
    for list in [
        ORDERS,
        "/imaging/procedures",
        "/imaging/modalities",
        "/imaging/orders?accession_number=A",
    ] {
        assert_eq!(other.get(list).await?.text, "[]", "{list}");
    }
    let foreign = house.order_with(json!({ "tenant_id": theirs })).to_string();
    let named = format!("{{\"tenant_id\":\"{theirs}\",\"status\":\"scheduled\"}}");
    let list = format!("{ORDERS}?tenant_id={theirs}");
    let one = format!("{place}?tenant_id={theirs}");
    let refused = vec![
        RejectedRequest::post(ORDERS, foreign, ProblemCode::OtherTenant),
        RejectedRequest::patch(&place, named, ProblemCode::OtherTenant),
        RejectedRequest::get(&list, ProblemCode::OtherTenant),
        RejectedRequest::get(&one, ProblemCode::OtherTenant),
        RejectedRequest::post(&list, "{}", ProblemCode::OtherTenant),
        RejectedRequest::patch(&one, "{}", ProblemCode::OtherTenant),
    ];
    assert_all_rejected(&house.client, refused).await?;
    for own in [ORDERS, &place, "/events"] {
        let read = house.client.get(&format!("{own}{query}")).await?;
        assert_eq!(read.status, 200, "{read:?}");
    }
    Ok(())
}

async fn to_paths_and_methods_that_are_not_there(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let unknown = format!("{ORDERS}/{}", fresh());
    let refused = vec![
        RejectedRequest::get(&unknown, ProblemCode::NotFound),
        RejectedRequest::patch(&unknown, "{}", ProblemCode::NotFound),
        RejectedRequest::get("/imaging", ProblemCode::NotFound),
        RejectedRequest::get("/imaging/orders/", ProblemCode::NotFound),
        RejectedRequest::get("/api/v2/imaging/orders", ProblemCode::NotFound),
        RejectedRequest::get("/api/v1", ProblemCode::NotFound),
        RejectedRequest::post(&unknown, "{}", ProblemCode::MethodNotAllowed),
        RejectedRequest::patch(ORDERS, "{}", ProblemCode::MethodNotAllowed),
        RejectedRequest::post("/events", "{}", ProblemCode::MethodNotAllowed),
    ];
    assert_all_rejected(&house.client, refused).await?;
    for (path, allowed) in [(ORDERS, ["GET", "POST"]), (&unknown, ["GET", "PATCH"])] {
        let refused = house
            .client
            .send(reqwest::Method::DELETE, path, Vec::new())
            .await?;
        let allow = refused.header("allow");
        assert_eq!(refused.status, 405, "{refused:?}");
        for method in allowed {
            assert!(
                allow.split(',').any(|allow| allow.trim() == method),
                "{path}: {allow}"
            );
        }
    }
    Ok(())
}
