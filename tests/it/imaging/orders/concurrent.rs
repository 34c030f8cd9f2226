//! Orders created concurrently.

use anyhow::Result;
use futures_util::future::try_join_all;
use roentgen_tests::EngineKind;
use serde_json::json;

use crate::assertions::log_head;
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    each_writer_reads_its_own_write,
    one_of_many_takes_the_number,
    one_stream_takes_every_change,
);

const WRITERS: usize = 50;

async fn each_writer_reads_its_own_write(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let before = log_head(&house.client).await?;
    let writers = (0..WRITERS).map(|_| async {
        let patient = fresh();
        let created = house.create_order(json!({ "patient_id": patient })).await?;
        let one = created.header("location");
        let list = format!("/imaging/orders?patient_id={patient}");
        assert_eq!(house.client.get(&one).await?.text, created.text);
        let listed = house.client.get(&list).await?;
        assert_eq!(listed.json(), json!([created.json()]), "{listed:?}");
        let moved = house
            .client
            .patch(&one, &json!({ "status": "scheduled" }))
            .await?;
        let scheduled = house
            .client
            .get(&format!("{list}&status=scheduled"))
            .await?;
        assert_eq!(scheduled.json(), json!([moved.json()]), "{scheduled:?}");
        anyhow::Ok(created.number("log-position"))
    });
    let mut positions = try_join_all(writers).await?;
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), WRITERS);
    assert_eq!(log_head(&house.client).await? - before, 2 * WRITERS as u64);
    Ok(())
}

async fn one_of_many_takes_the_number(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let before = log_head(&house.client).await?;
    let client = house.client.repeating();
    let body = || house.order_with(json!({ "accession_number": "ONE" }));
    let writers = (0..WRITERS).map(|_| async { client.post("/imaging/orders", &body()).await });
    let answers = try_join_all(writers).await?;
    let with = |status: u16, code: &str| {
        answers
            .iter()
            .filter(|response| response.status == status && response.code() == code)
            .count()
    };
    assert_eq!(
        (with(201, ""), with(409, "already_exists")),
        (1, WRITERS - 1),
        "{answers:?}"
    );
    assert_eq!(log_head(&house.client).await? - before, 1);
    Ok(())
}

async fn one_stream_takes_every_change(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("requested").await?;
    let writers = (0..WRITERS).map(|n| {
        let client = house.client.repeating();
        let place = &place;
        async move {
            client
                .patch(place, &json!({ "metadata": { "n": n } }))
                .await
        }
    });
    let mut versions = Vec::new();
    for answer in try_join_all(writers).await? {
        assert_eq!(answer.status, 200, "{answer:?}");
        versions.push(answer.json()["version"].as_u64().unwrap_or_default());
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=WRITERS as u64 + 1).collect::<Vec<_>>());
    Ok(())
}
