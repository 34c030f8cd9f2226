//! What still works on an archived log, and what needs archived events.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::python;
use serde_json::json;

use super::{ArchivedLog, LAST};
use crate::assertions::assert_problem;
use crate::faults::run;

/// Returns the id at the end of a path.
fn id(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_into_it_is_told_by_name() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    // A new node has no cached state.
    let fresh = old.house.second_server().await?;
    let client = old.house.client.with_base_url(&fresh.base);
    let stream = id(&old.forgotten);
    let feed_of_stream = format!("/events?stream_id={stream}");
    let as_of = format!("{}?as_of=5", old.forgotten);
    for path in ["/events", "/events?after=5", &feed_of_stream, &as_of] {
        let answer = client.get(path).await?;
        assert_problem(&answer, ProblemCode::Archived, path);
        let detail = answer.text_at("/detail");
        assert!(detail.contains(&(LAST + 1).to_string()), "{path}: {detail}");
    }
    // The current state is a row of a read model and remains.
    assert_eq!(client.get(&old.forgotten).await?.status, 200);
    let listening = client.with("accept", "text/event-stream");
    let refused = listening.get("/events?after=5").await?;
    assert_problem(&refused, ProblemCode::Archived, "a stream of events");
    let change = json!({ "status": "scheduled" });
    // Rejected by the node that has to load the order and by the node that has cached it.
    for node in [&client, &old.house.client] {
        let refused = node.patch(&old.forgotten, &change).await?;
        assert_problem(&refused, ProblemCode::Archived, "a command");
    }
    let exported = run(&old.house.database, &["export", "--format", "ndjson"])?;
    assert_eq!(exported.code, Some(70), "{}", exported.printed);
    assert!(
        exported.printed.contains("are archived"),
        "{}",
        exported.printed
    );
    let rebuilt = run(&old.house.database, &["rebuild", "orders"])?;
    assert_eq!(rebuilt.code, Some(1), "{}", rebuilt.printed);
    assert!(
        rebuilt.printed.contains("are archived"),
        "{}",
        rebuilt.printed
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_else_goes_on() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    let client = &old.house.client;
    let after = client.get(&format!("/events?after={LAST}")).await?.lines();
    assert_eq!(after[0]["position"], LAST + 1);

    let stream = format!("/events?stream_id={}", id(&old.living));
    let versions: Vec<_> = client.get(&stream).await?.lines();
    let versions: Vec<_> = versions
        .iter()
        .map(|version| version["version"].as_u64())
        .collect();
    assert_eq!(versions, [Some(1), Some(2)], "from before the boundary too");
    let change = json!({ "status": "in_progress" });
    assert_eq!(client.patch(&old.living, &change).await?.status, 200);
    let living = client.get(&old.living).await?;
    assert_eq!(living.text_at("/status"), "in_progress");
    // The referenced procedure was created in the first partition.
    let created = old.house.create_order(json!({})).await?.header("location");
    assert_eq!(client.get(&created).await?.status, 200);
    let listed = client.get("/imaging/orders?limit=100").await?;
    assert!(listed.text.contains(id(&old.forgotten)), "{}", listed.text);

    let alone = run(&old.house.database, &["verify"])?;
    assert_eq!(alone.code, Some(0), "{}", alone.printed);
    let said = format!("chain intact from position {}", LAST + 1);
    assert!(alone.printed.contains(&said), "{}", alone.printed);
    let whole = old.verified()?;
    assert_eq!(whole.code, Some(0), "{}", whole.printed);
    let said = format!("({LAST} archived)");
    assert!(whole.printed.contains(&said), "{}", whole.printed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_and_archives_go_on_where_they_were() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    let neighbour = old.house.second_server().await?;
    let client = old.house.client.with_base_url(&neighbour.base);
    let again = old.archive().await?;
    assert!(
        again.printed.contains("archived 0 partitions"),
        "{}",
        again.printed
    );
    let body = old.house.order();
    assert_eq!(client.post("/imaging/orders", &body).await?.status, 201);
    assert_eq!(old.verified()?.code, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analysts_read_the_files() -> Result<()> {
    let old = ArchivedLog::archived().await?;
    let script = "import duckdb, sys; print(duckdb.execute(\"SELECT count(*), min(position), max(position), \
        count(DISTINCT hash) FROM read_parquet(?)\", [sys.argv[1] + '/*.parquet']).fetchone())";
    let read = python().args(["-c", script]).arg(&old.directory).output()?;
    let printed = String::from_utf8(read.stdout)?;
    assert_eq!(printed.trim(), format!("({LAST}, 1, {LAST}, {LAST})"));
    Ok(())
}
