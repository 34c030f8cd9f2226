//! When a reader asks for what comes after a position that the log does not have.

use anyhow::Result;
use roentgen_api::problem::Code;
use roentgen_tests::{Client, Database, Engine};
use serde_json::json;

use crate::expect::{Refused, all_refused, head, problem};
use crate::imaging_ai::{OUTPUTS, a_task};
use crate::story::{House, fresh, on_both_engines, serve};

on_both_engines!(
    is_refused_by_name_wherever_a_position_is_taken,
    an_empty_log_ends_at_0,
    another_nodes_events_are_no_such_thing,
);

async fn is_refused_by_name_wherever_a_position_is_taken(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let place = house.ordered(json!({})).await?.header("location");
    let output = an_output(&house).await?;
    let end = head(&house.client).await?;
    for beyond in [end + 1, end + 1_000, i64::MAX as u64] {
        let paths = [
            format!("/events?after={beyond}"),
            format!("/events?after={beyond}&wait=60"),
            format!("/events?after={beyond}&types=Nothing"),
            format!("{place}?as_of={beyond}"),
            format!("{output}?as_of={beyond}"),
        ];
        let refused = paths.iter().map(|path| Refused::get(path, Code::BeyondLog));
        all_refused(&house.client, refused.collect()).await?;
        let sse = house.client.with("accept", "text/event-stream");
        problem(&sse.get(&paths[0]).await?, Code::BeyondLog, "SSE");
        let resumed = sse.with("last-event-id", &beyond.to_string());
        problem(&resumed.get("/events").await?, Code::BeyondLog, "resumed");
        let waiting = house.client.with("min-log-position", &beyond.to_string());
        let hurried = waiting.with("prefer", "respond-async");
        let of_the_past = format!("{place}?as_of={end}");
        for path in [&place, "/imaging/orders", &output, &of_the_past] {
            problem(&waiting.get(path).await?, Code::BeyondLog, path);
            problem(&hurried.get(path).await?, Code::BeyondLog, path);
        }
        let operator = house.operator()?.get(&paths[0]).await?;
        problem(&operator, Code::BeyondLog, "the operator");
        let said = format!("the log ends at position {end}, ");
        assert!(
            operator.text_at("/detail").starts_with(&said),
            "{operator:?}"
        );
    }
    let at_the_end = format!("/events?after={end}");
    let page = house.client.get(&at_the_end).await?;
    assert_eq!((page.status, page.text.as_str()), (200, ""), "{page:?}");
    let positions = ["scanned-to", "log-position"].map(|name| page.number(name));
    assert_eq!(positions, [end, end]);
    let sse = house.client.with("last-event-id", &end.to_string());
    let mut feed = sse.listen("/events").await?;
    assert_eq!(feed.response.status(), 200);
    let next = house.ordered(json!({})).await?;
    let frame = feed.next().await?.unwrap_or_default();
    assert_eq!(frame.id, next.header("log-position"));
    Ok(())
}

/// Where an AI model's output is. Nothing follows from one of this type: the log stays as long as it is.
async fn an_output(house: &House) -> Result<String> {
    let body = json!({ "imaging_ai_task_id": a_task(house).await?, "output_type": "quality",
        "payload": { "score": 0.5, "issues": [] } });
    let kept = house.client.post(OUTPUTS, &body).await?;
    assert_eq!(kept.status, 201, "{kept:?}");
    Ok(kept.header("location"))
}

async fn an_empty_log_ends_at_0(engine: Engine) -> Result<()> {
    let database = Database::new(engine).await?;
    let server = serve(&database, &["--dev"]).await?;
    let client = Client::dev(&server.base, fresh());
    for path in ["/events", "/events?after=0"] {
        let page = client.get(path).await?;
        assert_eq!((page.status, page.text.as_str()), (200, ""), "{page:?}");
        let positions = ["scanned-to", "log-position"].map(|name| page.header(name));
        assert_eq!(positions, ["0", "0"], "{page:?}");
    }
    problem(
        &client.get("/events?after=1").await?,
        Code::BeyondLog,
        "an empty log",
    );
    Ok(())
}

/// This node need not have heard of them yet.
async fn another_nodes_events_are_no_such_thing(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let neighbour = house.neighbour().await?;
    let there = house.client.towards(&neighbour.base);
    for _ in 0..20 {
        let created = there.post("/imaging/orders", &house.order()).await?;
        let position = created.header("log-position");
        let page = house
            .client
            .get(&format!("/events?after={position}"))
            .await?;
        assert_eq!(page.status, 200, "{page:?}");
        let place = created.header("location");
        let then = house
            .client
            .get(&format!("{place}?as_of={position}"))
            .await?;
        assert_eq!(then.status, 200, "{then:?}");
    }
    Ok(())
}
