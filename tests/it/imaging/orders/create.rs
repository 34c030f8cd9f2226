//! Creation of orders.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use crate::assertions::log_head;
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    is_answered_with_its_place_and_version,
    keeps_everything_it_was_given,
    takes_bodies_up_to_the_limits,
    is_served_under_the_prefix_too,
);

async fn is_answered_with_its_place_and_version(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let before = log_head(&house.client).await?;
    let created = house.client.post("/imaging/orders", &house.order()).await?;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.header("content-type"), "application/json");
    assert_eq!(created.number("log-position"), before + 1);
    let place = created.header("location");
    assert_eq!(place, format!("/imaging/orders/{}", created.text_at("/id")));
    let read = house.client.get(&place).await?;
    assert_eq!((read.status, &read.text), (200, &created.text));
    assert_eq!(read.header("etag"), "\"1\"");
    assert!(read.number("log-position") > before, "{read:?}");
    let order = created.json();
    assert_eq!(order["status"], "requested");
    assert_eq!(order["priority"], "routine");
    assert_eq!(order["phi"], "open");
    assert_eq!(order["tenant_id"], json!(house.tenant));
    assert_eq!(order["fhir_service_request_id"], order["id"]);
    let number = created.text_at("/accession_number");
    assert!((1..=16).contains(&number.len()), "{number}");
    Ok(())
}

async fn keeps_everything_it_was_given(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mut nested = json!("leaf");
    for _ in 0..100 {
        nested = json!({ "in": nested });
    }
    let told = json!({
        "encounter_id": fresh(), "episode_id": fresh(), "ordering_practitioner_id": fresh(),
        "ordering_department_id": fresh(), "priority": "stat", "accession_number": "EHR 4711",
        "requested_at": "2026-01-31T08:15:00.123Z", "indication": "Ünïcödé \u{1F600}, and a \"quote\"",
        "metadata": { "nested": nested, "list": [1, 2.5, null, true], "": "no key" },
        "patient": { "mrn": "MRN-1", "family_name": "Roe", "given_name": "Rita",
            "birth_date": "1970-01-31", "sex": "female" },
    });
    let body = with(house.order_with(told), json!({ "tenant_id": house.tenant }));
    let created = house.client.post("/imaging/orders", &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let place = created.header("location");
    let then = created.number("log-position");
    for path in [place.clone(), format!("{place}?as_of={then}")] {
        let read = house.client.get(&path).await?;
        for (member, value) in body.as_object().into_iter().flatten() {
            assert_eq!(&read.json()[member], value, "{member} of {path}");
        }
        assert_eq!(read.json(), created.json(), "{path}");
    }
    let order = created.json();
    let words =
        ["procedure_code", "procedure_name", "modality_code"].map(|text| order[text].clone());
    assert_eq!(words, ["CT_HEAD", "CT head", "CT"].map(Value::from));
    let again = house.client.get("/imaging/orders?status=requested").await?;
    assert_eq!(again.json(), json!([order]));
    Ok(())
}

async fn takes_bodies_up_to_the_limits(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let full =
        json!({ "indication": "x".repeat(64 * 1024), "accession_number": "1234567890ABCDEF" });
    let order = house.create_order(full.clone()).await?;
    assert_eq!(order.json()["indication"], full["indication"]);
    let read = house.client.get(&order.header("location")).await?;
    assert_eq!(read.text, order.text);
    let mut body = serde_json::to_vec(&house.order())?;
    body.resize(512 * 1024, b' ');
    let post = reqwest::Method::POST;
    let created = house.client.send(post, "/imaging/orders", body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(())
}

async fn is_served_under_the_prefix_too(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house
        .client
        .post("/api/v1/imaging/orders", &house.order())
        .await?;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.text_at("/id");
    let place = format!("/imaging/orders/{id}");
    assert_eq!(
        created.header("location"),
        place,
        "a resource has one place"
    );
    for path in [
        format!("/api/v1/imaging/orders/{id}"),
        format!("/imaging/orders/{id}"),
    ] {
        let read = house.client.get(&path).await?;
        assert_eq!((read.status, &read.text), (200, &created.text), "{path}");
    }
    house.create_order(json!({})).await?;
    let first = house.client.get("/api/v1/imaging/orders?limit=1").await?;
    let next = first.next_page().unwrap_or_default();
    assert!(next.starts_with("/api/v1/imaging/orders?"), "{next}");
    assert_eq!(house.client.get(&next).await?.ids(), [id]);
    for open in ["/health/live", "/openapi.json", "/problems/not_found"] {
        let answer = house.client.get(&format!("/api/v1{open}")).await?;
        assert_eq!(answer.status, 200, "{open}");
    }
    Ok(())
}
