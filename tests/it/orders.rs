//! `/imaging/orders`.

use anyhow::Result;
use roentgen_tests::Engine;
use serde_json::json;

use crate::story::{House, on_both_engines};

on_both_engines!(is_created_read_and_moved);

async fn is_created_read_and_moved(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let created = house.client.post("/imaging/orders", &house.order()).await?;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("etag"), "\"1\"");
    let place = created.header("location");
    let read = house.client.get(&place).await?;
    assert_eq!((read.status, &read.text), (200, &created.text));
    let moved = house
        .client
        .patch(&place, &json!({ "status": "scheduled" }))
        .await?;
    assert_eq!(
        (moved.status, moved.text_at("/status").as_str()),
        (200, "scheduled"),
        "{moved:?}"
    );
    let list = house.client.get("/imaging/orders?status=scheduled").await?;
    assert_eq!(list.json(), json!([moved.json()]));
    Ok(())
}
