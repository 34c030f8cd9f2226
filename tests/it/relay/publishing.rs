//! Published messages.

use anyhow::{Context as _, Result};
use roentgen_tests::{EngineKind, Nats, Server};
use serde_json::json;

use super::{caught_up, holds_the_log, order};
use crate::faults::run;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    every_event_arrives_once_in_order_as_a_cloud_event,
    published_messages_contain_no_phi,
    a_log_that_was_there_before_is_published_from_its_beginning,
    a_server_that_starts_again_goes_on_and_repeats_nothing,
);

async fn every_event_arrives_once_in_order_as_a_cloud_event(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    order(&house, 20).await?;
    let messages = holds_the_log(&nats, &house.database).await?;
    let events = house.client.get("/events?limit=5000").await?.lines();
    assert_eq!(messages.len(), events.len());
    for (message, event) in messages.iter().zip(&events) {
        let text = |pointer: &str| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let kind = text("/type");
        let tenant = text("/tenant_id");
        assert_eq!(message.subject, format!("roentgen.events.{tenant}.{kind}"));
        let number = |name: &str| event[name].as_u64().unwrap().to_string();
        let stream = format!("{}/{}", text("/stream/type"), text("/stream/id"));
        let expected = [
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", text("/id")),
            ("ce-source", "/roentgen".to_owned()),
            ("ce-type", kind),
            ("ce-subject", stream),
            ("ce-time", text("/recorded_at")),
            ("ce-datacontenttype", "application/json".to_owned()),
            ("ce-tenantid", tenant),
            ("ce-position", number("position")),
            ("ce-correlationid", text("/correlation_id")),
            ("ce-streamversion", number("version")),
            ("ce-schemaversion", number("schema_version")),
            ("ce-phi", text("/phi")),
            ("Nats-Msg-Id", text("/id")),
        ];
        for (name, value) in expected {
            assert_eq!(message.header(name), value, "{name}: {message:?}");
        }
        assert_eq!(message.json(), event["data"]);
    }
    caught_up(&house.client).await?;
    let info = nats.info().await?.context("no stream")?.config;
    assert!(info.deny_purge && info.deny_delete);
    Ok(())
}

async fn published_messages_contain_no_phi(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    let patient = json!({ "mrn": "MRN-XYZZY", "family_name": "Xyzzyson" });
    house
        .create_order(json!({ "patient": patient, "indication": "xyzzy pain" }))
        .await?;
    let messages = holds_the_log(&nats, &house.database).await?;
    let order = messages.last().context("no message")?;
    assert_eq!(order.header("ce-phi"), "sealed");
    assert!(!order.json()["patient_id"].is_null());
    for message in &messages {
        let all = format!("{message:?}").to_lowercase();
        assert!(!all.contains("xyzzy"), "{message:?}");
    }
    Ok(())
}

async fn a_log_that_was_there_before_is_published_from_its_beginning(
    engine: EngineKind,
) -> Result<()> {
    let mut house = TestApp::start(engine).await?;
    order(&house, 5).await?;
    house.server.terminate()?;
    let nats = Nats::start().await?;
    house.server = Server::start(&house.database, &["--nats", &nats.url()]).await?;
    holds_the_log(&nats, &house.database).await?;
    Ok(())
}

async fn a_server_that_starts_again_goes_on_and_repeats_nothing(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let url = nats.url();
    let mut house = TestApp::open_with(engine, &["--dev", "--nats", &url]).await?;
    for _ in 0..3 {
        order(&house, 3).await?;
        let events = holds_the_log(&nats, &house.database).await?.len();
        assert_eq!(house.server.terminate()?, Some(0));
        let shown = run(&house.database, &["projections"])?.printed;
        let line = shown.lines().find(|text| text.starts_with("nats "));
        let words: Vec<&str> = line.context("no line")?.split_whitespace().collect();
        let events = events.to_string();
        assert_eq!(words, ["nats", &events, &events, "0"]);
        house.server = Server::start(&house.database, &["--nats", &url]).await?;
        house.client = house.client.with_base_url(&house.server.base);
    }
    holds_the_log(&nats, &house.database).await?;
    Ok(())
}
