//! A stream that was changed, and a stream that does not belong to this log: the relay reports the problem and does not
//! write.

use anyhow::{Context as _, Result};
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use roentgen_tests::nats::STREAM;
use roentgen_tests::{DbFile, EngineKind, Nats, RawDatabase, Server, poll};

use super::{WAIT_TIMEOUT, holds_the_log, order};
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(
    a_stream_that_is_gone_is_not_made_again_until_somebody_decides,
    a_stream_that_was_recreated_is_refused,
    a_message_of_somebody_else_is_refused,
    a_stream_is_not_purged_and_one_that_lost_messages_is_refused,
    a_stream_that_went_back_is_refused,
    a_stream_ahead_of_a_restored_log_is_refused,
    a_stream_for_something_else_is_refused,
    what_the_server_cannot_do_is_told_in_its_words,
);

const SUBJECTS: &str = "roentgen.events.>";

async fn a_stream_that_is_gone_is_not_made_again_until_somebody_decides(
    engine: EngineKind,
) -> Result<()> {
    let (nats, house) = published(engine).await?;
    nats.jetstream().await?.delete_stream(STREAM).await?;
    stands_still(&house, "stream_gone").await?;
    assert!(nats.info().await?.is_none());
    // As described in docs/operations.md.
    let mut by_hand = RawDatabase::on(&house.database, DbFile::Log).await?;
    by_hand
        .run("DELETE FROM relays WHERE name = 'nats'")
        .await?;
    holds_the_log(&nats, &house.database).await?;
    goes_on(&house).await
}

async fn a_stream_that_was_recreated_is_refused(engine: EngineKind) -> Result<()> {
    let (nats, house) = published(engine).await?;
    let config = nats.info().await?.context("no stream")?.config;
    let jetstream = nats.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    jetstream.create_stream(config).await?;
    stands_still(&house, "stream_recreated").await?;
    let info = nats.info().await?.context("no stream")?;
    assert_eq!(info.state.last_sequence, 0);
    Ok(())
}

async fn a_message_of_somebody_else_is_refused(engine: EngineKind) -> Result<()> {
    let (nats, house) = published(engine).await?;
    let before = nats.info().await?.context("no stream")?.state.last_sequence;
    let jetstream = nats.jetstream().await?;
    let sent = jetstream
        .publish("roentgen.events.x.Y", "{}".into())
        .await?;
    assert_eq!(sent.await?.sequence, before + 1);
    stands_still(&house, "foreign_message").await?;
    let after = nats.info().await?.context("no stream")?.state.last_sequence;
    assert_eq!(after, before + 1);
    Ok(())
}

async fn a_stream_is_not_purged_and_one_that_lost_messages_is_refused(
    engine: EngineKind,
) -> Result<()> {
    let (nats, house) = published(engine).await?;
    let jetstream = nats.jetstream().await?;
    let stream = jetstream.get_stream(STREAM).await?;
    assert!(stream.purge().await.is_err());
    assert!(stream.delete_message(1).await.is_err());
    let config = stream.cached_info().config.clone();
    let cut = Config {
        max_messages: 1,
        ..config.clone()
    };
    jetstream.update_stream(cut).await?;
    jetstream.update_stream(config).await?;
    stands_still(&house, "stream_purged").await
}

async fn a_stream_that_went_back_is_refused(engine: EngineKind) -> Result<()> {
    let (mut nats, house) = published(engine).await?;
    nats.kill()?;
    let kept = nats.snapshot_store()?;
    nats.restart().await?;
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    nats.kill()?;
    nats.restore_store(&kept)?;
    nats.restart().await?;
    stands_still(&house, "stream_went_back").await
}

async fn a_stream_ahead_of_a_restored_log_is_refused(engine: EngineKind) -> Result<()> {
    let (nats, mut house) = published(engine).await?;
    let url = nats.url();
    house.server.terminate()?;
    let restored = house.database.copy().await?;
    house.server = Server::start(&house.database, &["--nats", &url]).await?;
    house.client = house.client.with_base_url(&house.server.base);
    order(&house, 3).await?;
    holds_the_log(&nats, &house.database).await?;
    house.server.terminate()?;
    house.database = restored;
    house.server = Server::start(&house.database, &["--nats", &url]).await?;
    house.client = house.client.with_base_url(&house.server.base);
    stands_still(&house, "stream_ahead").await
}

async fn a_stream_for_something_else_is_refused(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let queue = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    nats.jetstream().await?.create_stream(queue).await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    stands_still(&house, "stream_unfit").await
}

async fn what_the_server_cannot_do_is_told_in_its_words(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let arguments = ["--dev", "--nats", &nats.url(), "--nats-replicas", "3"];
    let house = TestApp::open_with(engine, &arguments).await?;
    stands_still(&house, "stream_unfit").await?;
    let detail = house.client.get("/health/ready").await?;
    assert!(
        detail.text_at("/relay/detail").contains("replicas"),
        "{detail:?}"
    );
    Ok(())
}

/// Starts a server and waits until its log is in the stream.
async fn published(engine: EngineKind) -> Result<(Nats, TestApp)> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    order(&house, 5).await?;
    holds_the_log(&nats, &house.database).await?;
    Ok((nats, house))
}

/// Waits until the relay reports the problem, and checks that nothing else is affected.
async fn stands_still(house: &TestApp, problem: &str) -> Result<()> {
    let asked = async || house.client.get("/health/ready").await;
    let named = |result: &Result<roentgen_tests::TestResponse>| {
        result
            .as_ref()
            .is_ok_and(|response| response.text_at("/relay/problem") == problem)
    };
    let ready = poll::wait_until("the relay's problem", WAIT_TIMEOUT, asked, named).await??;
    assert_eq!(ready.status, 200);
    order(house, 1).await?;
    let metrics = house.client.get("/metrics").await?.text;
    let refused = format!("roentgen_relay_refused{{problem=\"{problem}\"}} 1");
    assert!(metrics.contains(&refused), "{metrics}");
    assert!(super::lag(&house.client).await? > 0.0);
    let logged = house.server.logged()?;
    let said = logged
        .lines()
        .any(|logged| logged.contains("relay halted") && logged.contains(problem));
    assert!(said, "{logged}");
    Ok(())
}

async fn goes_on(house: &TestApp) -> Result<()> {
    let asked = async || house.client.get("/health/ready").await;
    let well = |result: &Result<roentgen_tests::TestResponse>| {
        result
            .as_ref()
            .is_ok_and(|response| response.text_at("/relay/problem").is_empty())
    };
    poll::wait_until("the relay's problem", WAIT_TIMEOUT, asked, well).await??;
    Ok(())
}
