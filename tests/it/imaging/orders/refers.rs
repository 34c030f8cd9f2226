//! When an order refers to something, or is referred to.

use anyhow::Result;
use roentgen_api::problem::Code;
use roentgen_tests::{Client, Engine};
use serde_json::json;

use crate::expect::{Refused, all_refused};
use crate::story::{House, catalog, fresh, on_both_engines};

on_both_engines!(
    to_what_is_not_there_or_not_active,
    to_a_number_that_is_taken,
    across_tenants,
    to_paths_and_methods_that_are_not_there,
);

const ORDERS: &str = "/imaging/orders";

async fn to_what_is_not_there_or_not_active(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let missing = house
        .order_with(json!({ "imaging_procedure_id": fresh() }))
        .to_string();
    let at = &["/imaging_procedure_id"];
    let refused = Refused::post(ORDERS, missing, Code::ReferenceNotFound).at(at);
    all_refused(&house.client, vec![refused]).await?;
    let modality = house
        .client
        .get("/imaging/modalities")
        .await?
        .ids()
        .concat();
    let no_procedure = house
        .order_with(json!({ "imaging_procedure_id": modality }))
        .to_string();
    let refused = Refused::post(ORDERS, no_procedure, Code::ReferenceNotFound).at(at);
    all_refused(&house.client, vec![refused]).await?;

    let place = format!("/imaging/procedures/{}", house.procedure);
    let body = house.order().to_string();
    house
        .client
        .patch(&place, &json!({ "is_active": false }))
        .await?;
    let refused = Refused::post(ORDERS, body, Code::Inactive).at(at);
    all_refused(&house.client, vec![refused]).await?;
    house
        .client
        .patch(&place, &json!({ "is_active": true }))
        .await?;
    house.ordered(json!({})).await?;
    Ok(())
}

async fn to_a_number_that_is_taken(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let number = json!({ "accession_number": "ACC-1" });
    let first = house.ordered(number.clone()).await?;
    let same = |it: &str| {
        house
            .order_with(json!({ "accession_number": it }))
            .to_string()
    };
    let refused =
        ["ACC-1", "  ACC-1 "].map(|it| Refused::post(ORDERS, same(it), Code::AlreadyExists));
    all_refused(&house.client, refused.into()).await?;
    house
        .client
        .patch(&first.header("location"), &json!({ "status": "cancelled" }))
        .await?;
    let again = Refused::post(ORDERS, same("ACC-1"), Code::AlreadyExists);
    all_refused(&house.client, vec![again]).await?;
    let other = Client::dev(&house.server.base, fresh());
    let procedure = catalog(&other).await?;
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

async fn across_tenants(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let order = house.ordered(json!({ "accession_number": "A" })).await?;
    let place = order.header("location");
    let other = Client::dev(&house.server.base, fresh());
    let (theirs, query) = (fresh(), format!("?tenant_id={}", house.tenant));
    let body = house.order().to_string();
    let refused = vec![
        Refused::get(&place, Code::NotFound),
        Refused::patch(&place, r#"{"status":"scheduled"}"#, Code::NotFound),
        Refused::patch(&place, "{}", Code::NotFound),
        Refused::post(ORDERS, body, Code::ReferenceNotFound),
    ];
    all_refused(&other, refused).await?;
    let as_of = format!("{place}?as_of={}", order.number("log-position"));
    all_refused(&other, vec![Refused::get(&as_of, Code::NotFound)]).await?;
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
    let (list, one) = (
        format!("{ORDERS}?tenant_id={theirs}"),
        format!("{place}?tenant_id={theirs}"),
    );
    let refused = vec![
        Refused::post(ORDERS, foreign, Code::OtherTenant),
        Refused::patch(&place, named, Code::OtherTenant),
        Refused::get(&list, Code::OtherTenant),
        Refused::get(&one, Code::OtherTenant),
        Refused::post(&list, "{}", Code::OtherTenant),
        Refused::patch(&one, "{}", Code::OtherTenant),
    ];
    all_refused(&house.client, refused).await?;
    for own in [ORDERS, &place, "/events"] {
        let read = house.client.get(&format!("{own}{query}")).await?;
        assert_eq!(read.status, 200, "{read:?}");
    }
    Ok(())
}

async fn to_paths_and_methods_that_are_not_there(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let unknown = format!("{ORDERS}/{}", fresh());
    let refused = vec![
        Refused::get(&unknown, Code::NotFound),
        Refused::patch(&unknown, "{}", Code::NotFound),
        Refused::get("/imaging", Code::NotFound),
        Refused::get("/imaging/orders/", Code::NotFound),
        Refused::get("/api/v2/imaging/orders", Code::NotFound),
        Refused::get("/api/v1", Code::NotFound),
        Refused::post(&unknown, "{}", Code::MethodNotAllowed),
        Refused::patch(ORDERS, "{}", Code::MethodNotAllowed),
        Refused::post("/events", "{}", Code::MethodNotAllowed),
    ];
    all_refused(&house.client, refused).await?;
    for (path, allowed) in [(ORDERS, ["GET", "POST"]), (&unknown, ["GET", "PATCH"])] {
        let refused = house
            .client
            .send(reqwest::Method::DELETE, path, Vec::new())
            .await?;
        let allow = refused.header("allow");
        assert_eq!(refused.status, 405, "{refused:?}");
        for method in allowed {
            assert!(
                allow.split(',').any(|it| it.trim() == method),
                "{path}: {allow}"
            );
        }
    }
    Ok(())
}
