//! `/admin/projections`: parked streams and their retries.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestClient, TestResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem};
use crate::faults::run;
use crate::pacs::fixtures::{archive, series, study, sync};
use crate::read_model_audit::{OfflineDatabase, assert_match_log, caught_up};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    shows_each_read_model,
    a_parked_order_is_seen_and_whole_after_a_retry,
    an_event_that_is_damaged_still_keeps_its_stream_parked,
    series_and_instances_are_whole_after_a_retry,
    a_node_that_follows_lets_streams_go_too,
    a_stream_that_goes_on_meanwhile_is_whole,
    refuses_what_is_not_parked_and_what_is_no_id,
);

const PROJECTIONS: &str = "/admin/projections";

/// Resets the row of a stream to the state before its first event, so that its next event does not follow.
async fn put_back(house: &TestApp, table: &str, stream: Uuid) -> Result<()> {
    settled(house).await?;
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    let id = read.id(stream);
    let update = format!("UPDATE {table} SET version = 0 WHERE id = {id}");
    let changed = read.run(&update).await?;
    ensure!(changed == 1, "{table} has {changed} rows of {stream}");
    Ok(())
}

/// Waits until the projector has processed the whole log.
async fn settled(house: &TestApp) -> Result<()> {
    let beside = OfflineDatabase::open(&house.database).await?;
    caught_up(&*beside.log).await?;
    beside.close().await;
    Ok(())
}

fn id_of(answer: &TestResponse) -> Result<Uuid> {
    Ok(answer.text_at("/id").parse()?)
}

fn retry_of(name: &str, stream: Uuid) -> String {
    format!("{PROJECTIONS}/{name}/parked/{stream}/retry")
}

async fn retry(operator: &TestClient, name: &str, stream: Uuid) -> Result<TestResponse> {
    operator.post(&retry_of(name, stream), &json!({})).await
}

/// Returns the status of one read model.
async fn projection(operator: &TestClient, name: &str) -> Result<Value> {
    let listed = operator.get(PROJECTIONS).await?;
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.json();
    let mut listed = listed.as_array().context("no array")?.iter();
    let found = listed.find(|value| value["name"] == name);
    Ok(found.context("no such projection")?.clone())
}

/// Creates an order whose second event is parked.
async fn parked_order(house: &TestApp) -> Result<(Uuid, String, TestResponse)> {
    let ordered = house.create_order(json!({})).await?;
    let id = id_of(&ordered)?;
    let place = ordered.header("location");
    put_back(house, "orders_v2", id).await?;
    let moved = change(&house.client, &place, 2).await?;
    settled(house).await?;
    Ok((id, place, moved))
}

async fn change(client: &TestClient, place: &str, n: u64) -> Result<TestResponse> {
    let changed = client
        .patch(place, &json!({ "metadata": { "n": n } }))
        .await?;
    assert_eq!(changed.status, 200, "{changed:?}");
    Ok(changed)
}

async fn shows_each_read_model(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    settled(&house).await?;
    let listed = house.operator()?.get(PROJECTIONS).await?.json();
    let names: Vec<&str> = listed
        .as_array()
        .context("no array")?
        .iter()
        .filter_map(|context| context["name"].as_str())
        .collect();
    let all = roentgen_projections::all();
    let declared: Vec<&str> = all
        .iter()
        .map(|projection| projection.model().name)
        .collect();
    assert_eq!(names, declared);
    let head = crate::assertions::log_head(&house.client).await?;
    assert_eq!(
        projection(&house.operator()?, "orders").await?,
        json!({ "name": "orders", "table": "orders_v2", "version": 2, "stream_type": "ImagingOrder",
            "position": head, "lag": 0, "parked_count": 0, "parked": [],
            "generations": [] })
    );
    Ok(())
}

async fn a_parked_order_is_seen_and_whole_after_a_retry(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let operator = house.operator()?;
    let (id, place, moved) = parked_order(&house).await?;
    let position = moved.number("log-position");
    for n in 3..6 {
        change(&house.client, &place, n).await?;
    }
    let another = house.create_order_in_status("scheduled").await?;
    let read = house.client.get(&another).await?;
    assert_eq!(read.text_at("/status"), "scheduled", "others go on");

    settled(&house).await?;
    let orders = projection(&operator, "orders").await?;
    assert_eq!(
        (&orders["lag"], &orders["parked_count"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        orders["parked"],
        json!([{ "stream_id": id, "stream_type": "ImagingOrder", "position": position,
            "reason": "expected the version after 0, found 2", "since": moved.text_at("/updated_at") }])
    );
    told_of(&house, &operator, 1).await?;

    let retried = retry(&operator, "orders", id).await?;
    assert_eq!(retried.status, 200, "{retried:?}");
    assert_eq!(retried.json(), projection(&operator, "orders").await?);
    assert_eq!(retried.json()["parked"], json!([]));
    told_of(&house, &operator, 0).await?;
    change(&house.client, &place, 6).await?;
    assert_match_log(&house.database).await?;
    assert_problem(
        &retry(&operator, "orders", id).await?,
        ProblemCode::NotFound,
        "twice",
    );
    Ok(())
}

/// Checks the number of parked orders in readiness, metrics and the command line.
async fn told_of(house: &TestApp, operator: &TestClient, parked: usize) -> Result<()> {
    let ready = operator.get("/health/ready").await?;
    assert_eq!(
        (ready.status, &ready.json()["parked"]),
        (200, &json!(parked))
    );
    let metrics = operator.get("/metrics").await?.text;
    let orders = format!("roentgen_parked_streams{{projection=\"orders\"}} {parked}\n");
    assert!(metrics.contains(&orders), "{orders} is not in {metrics}");
    let printed = run(&house.database, &["projections"])?.printed;
    let lines = printed
        .lines()
        .filter(|printed| printed.starts_with("parked: orders ImagingOrder "));
    assert_eq!(lines.count(), parked, "{printed}");
    Ok(())
}

/// Edits the stored payload of an order's first event, to corrupt and to repair it.
async fn rewrite(log: &mut RawDatabase, stream: Uuid, from: &str, to: &str) -> Result<()> {
    let payload = match log {
        RawDatabase::Sqlite(_) => format!("replace(payload, '{from}', '{to}')"),
        RawDatabase::Postgres(_) => format!("replace(payload::text, '{from}', '{to}')::json"),
    };
    let id = log.id(stream);
    let update =
        format!("UPDATE events SET payload = {payload} WHERE stream_id = {id} AND version = 1");
    let changed = log.run(&update).await?;
    ensure!(changed == 1, "{changed} events were changed");
    Ok(())
}

async fn an_event_that_is_damaged_still_keeps_its_stream_parked(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let operator = house.operator()?;
    let (id, place, _) = parked_order(&house).await?;
    let mut log = RawDatabase::on(&house.database, DbFile::Log).await?;
    log.drop_append_only_triggers().await?;
    let right = "\"accession_number\"";
    let wrong = "\"accession_nomber\"";
    rewrite(&mut log, id, right, wrong).await?;
    for _ in 0..2 {
        let refused = retry(&operator, "orders", id).await?;
        assert_problem(&refused, ProblemCode::StillParked, "damaged");
        let orders = projection(&operator, "orders").await?;
        let reason = orders["parked"][0]["reason"].as_str().unwrap_or_default();
        assert!(
            reason.starts_with("ImagingOrder.Created: malformed payload"),
            "{orders}"
        );
        assert_eq!(orders["parked_count"], 1);
    }
    change(&house.client, &place, 3).await?;
    settled(&house).await?;
    rewrite(&mut log, id, wrong, right).await?;
    let retried = retry(&operator, "orders", id).await?;
    assert_eq!(retried.status, 200, "{retried:?}");
    assert_match_log(&house.database).await?;
    Ok(())
}

async fn series_and_instances_are_whole_after_a_retry(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let operator = house.operator()?;
    let body = study(json!({}));
    let uid = body["study_instance_uid"].as_str().unwrap_or_default();
    let told = sync(&house, &body).await?;
    let grown = |count| json!({ "series": series(uid, count, 3) });
    sync(&house, &crate::test_app::with(body.clone(), grown(2))).await?;
    let id = id_of(&told)?;
    let parts = ["series", "instances"];
    for name in parts {
        put_back(&house, &format!("{name}_streams_v2"), id).await?;
    }
    sync(&house, &crate::test_app::with(body.clone(), grown(4))).await?;
    settled(&house).await?;
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    read.run("DELETE FROM instances_v2").await?;
    for name in parts {
        assert_eq!(projection(&operator, name).await?["parked_count"], 1);
        let retried = retry(&operator, name, id).await?;
        assert_eq!(retried.status, 200, "{retried:?}");
    }
    assert_match_log(&house.database).await?;
    sync(&house, &crate::test_app::with(body.clone(), grown(5))).await?;
    assert_match_log(&house.database).await?;
    Ok(())
}

async fn a_node_that_follows_lets_streams_go_too(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let (id, place, _) = parked_order(&house).await?;
    let follows = house.second_server().await?;
    let operator = house.operator()?.with_base_url(&follows.base);
    assert_eq!(projection(&operator, "orders").await?["parked_count"], 1);
    let retried = retry(&operator, "orders", id).await?;
    assert_eq!(retried.status, 200, "{retried:?}");
    for client in [&house.client, &house.client.with_base_url(&follows.base)] {
        change(client, &place, 3).await?;
    }
    assert_match_log(&house.database).await?;
    Ok(())
}

async fn a_stream_that_goes_on_meanwhile_is_whole(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let operator = house.operator()?;
    let (id, place, _) = parked_order(&house).await?;
    let changes = async {
        for n in 3..60 {
            change(&house.client, &place, n).await?;
        }
        anyhow::Ok(())
    };
    let retries = async {
        let path = retry_of("orders", id);
        let nothing = json!({});
        let retries = (0..4).map(|_| operator.post(&path, &nothing));
        join_all(retries)
            .await
            .into_iter()
            .collect::<Result<Vec<_>>>()
    };
    let (changed, retried) = tokio::join!(changes, retries);
    changed?;
    let statuses: Vec<u16> = retried?.iter().map(|response| response.status).collect();
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 404].contains(status)),
        "{statuses:?}"
    );
    assert_match_log(&house.database).await?;
    Ok(())
}

async fn refuses_what_is_not_parked_and_what_is_no_id(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let (id, _, _) = parked_order(&house).await?;
    let [orders, unknown, elsewhere, nowhere] = [
        retry_of("orders", id),
        retry_of("orders", fresh()),
        retry_of("studies", id),
        retry_of("orders_v2", id),
    ];
    let no_id = format!("{PROJECTIONS}/orders/parked/7/retry");
    let unknown_parameter = format!("{orders}?now=true");
    let list = format!("{PROJECTIONS}?name=orders");
    let refused = vec![
        RejectedRequest::post(&unknown, "", ProblemCode::NotFound),
        RejectedRequest::post(&elsewhere, "{}", ProblemCode::NotFound),
        RejectedRequest::post(&nowhere, "{}", ProblemCode::NotFound),
        RejectedRequest::post(&no_id, "", ProblemCode::InvalidParameter),
        RejectedRequest::post(&unknown_parameter, "", ProblemCode::InvalidParameter),
        RejectedRequest::post(&orders, "[]", ProblemCode::InvalidBody),
        RejectedRequest::post(&orders, "{\"force\": true}", ProblemCode::InvalidBody),
        RejectedRequest::post(&orders, "{", ProblemCode::MalformedJson),
        RejectedRequest::get(&list, ProblemCode::InvalidParameter),
    ];
    let operator = house.operator()?;
    for request in refused {
        let answer = operator
            .send(request.method, request.path, request.body)
            .await?;
        assert_problem(&answer, request.code, request.path);
    }
    let still = projection(&operator, "orders").await?;
    assert_eq!(still["parked_count"], 1);
    assert_all_rejected(
        &house.client,
        vec![RejectedRequest::post(&orders, "{}", ProblemCode::Forbidden)],
    )
    .await
}
