//! Studies with thousands of images.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::fixtures::{archive, series, study, sync, uid};
use crate::assertions::log_head;
use crate::read_model_audit::assert_match_log;
use crate::test_app::{on_both_engines, with};

on_both_engines!(five_thousand_instances_come_in_one_request_and_no_event_is_too_large);

async fn five_thousand_instances_come_in_one_request_and_no_event_is_too_large(
    engine: EngineKind,
) -> Result<()> {
    let house = archive(engine).await?;
    let own = uid();
    let body = study(json!({ "study_instance_uid": own, "series": series(&own, 5, 1000) }));
    let told = sync(&house, &body).await?;
    assert_eq!(told.status, 201, "{told:?}");
    assert_eq!(told.json()["number_of_instances"], 5000);
    let path = format!("/events?stream_id={}", told.text_at("/id"));
    let events = house.client.get(&path).await?.lines();
    for event in &events {
        let size = event["data"].to_string().len();
        assert!(size < 256 * 1024, "{}: {size}", event["type"]);
    }
    let last = &events.last().unwrap()["position"];
    assert_eq!(told.header("log-position"), last.to_string(), "one append");

    let before = log_head(&house.client).await?;
    let again = sync(&house, &body).await?;
    assert_eq!((again.status, again.json()), (200, told.json()));
    assert_eq!(log_head(&house.client).await?, before);

    let late = with(body, json!({ "series": series(&own, 5, 1001) }));
    assert_eq!(
        sync(&house, &late).await?.json()["number_of_instances"],
        5005
    );
    let rows = house.client.get("/pacs/series").await?.json();
    let third = format!(
        "/pacs/instances?limit=500&imaging_series_id={}",
        rows[2]["id"].as_str().unwrap()
    );
    let mut count = 0;
    let mut next = Some(third);
    while let Some(path) = next {
        let page = house.client.get(&path).await?;
        count += page.ids().len();
        next = page.next_page();
    }
    assert_eq!(count, 1001);
    assert!(assert_match_log(&house.database).await? >= 5005);
    Ok(())
}
