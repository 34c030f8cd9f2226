//! Clients that send requests and do not read the responses.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use roentgen_tests::frames::{self, Kind};
use roentgen_tests::raw::CLOSED_WITHIN;
use roentgen_tests::{EngineKind, Raw, Server, TestClient, poll};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::test_app::{TestApp, fresh};

/// Number of concurrent streams per connection, and number of connections.
const STREAMS: u32 = 32;
const CONNECTIONS: u32 = 32;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_answers_that_are_not_taken_are_reset_and_cost_no_memory() -> Result<()> {
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let nobody = TestClient::new(&house.server.base);
    assert_eq!(nobody.get("/openapi.json").await?.status, 200);
    let before = house.server.resident_bytes()?;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        // With a window of 1 byte the HTTP/2 implementation takes part of the response; with a window of 0 it takes
        // none.
        let mut bytes = frames::begin(number % 2);
        for stream in 0..STREAMS {
            let path = ["/openapi.json", "/imaging/modalities", "/nothing"][stream as usize % 3];
            bytes.extend(frames::get(2 * stream + 1, path, &[]));
        }
        connections.push(Raw::send(&house.server.base, &bytes).await?);
    }
    try_join_all(connections.iter_mut().map(all_answered)).await?;
    let reset = try_join_all(connections.iter_mut().map(all_reset));
    let others = async {
        let orders = house.client.get("/imaging/orders").await?;
        assert_eq!(orders.status, 200, "{orders:?}");
        let grown = house.server.resident_bytes()?.saturating_sub(before);
        assert!(
            grown < 64 << 20,
            "{grown} bytes for {CONNECTIONS} connections"
        );
        anyhow::Ok(())
    };
    tokio::try_join!(reset, others)?;
    Ok(())
}

/// Reads until the response of every stream has started.
async fn all_answered(connection: &mut Raw) -> Result<()> {
    let mut answered = 0;
    while answered < STREAMS {
        let frame = connection.frame().await?.context("it is closed")?;
        answered += u32::from(frame.kind == Kind::Headers as u8);
    }
    Ok(())
}

/// Reads until every stream was reset and the connection is closed.
async fn all_reset(connection: &mut Raw) -> Result<()> {
    let mut open: BTreeSet<u32> = (0..STREAMS).map(|stream| 2 * stream + 1).collect();
    while let Some(frame) = connection.frame().await? {
        if frame.kind == Kind::Reset as u8 {
            assert_eq!(frame.payload, CANCEL, "of stream {}", frame.stream);
            open.remove(&frame.stream);
        }
    }
    assert_eq!(open, BTreeSet::new(), "these were never reset");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_stalls_does_not_take_its_connection_with_it() -> Result<()> {
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let tenant = house.tenant.to_string();
    let others = [
        ("accept", "text/event-stream"),
        ("x-tenant-id", tenant.as_str()),
    ];
    let mut bytes = frames::begin(0);
    bytes.extend(frames::get(1, "/events", &others));
    bytes.extend(frames::get(3, "/openapi.json", &[]));
    let mut connection = Raw::send(&house.server.base, &bytes).await?;
    let window = frames::frame(Kind::WindowUpdate, 0, 1, &0xFFFF_u32.to_be_bytes());
    connection.stream.write_all(&window).await?;
    while let Some(frame) = connection.frame().await? {
        if frame.is(Kind::Reset, 3) {
            break;
        }
        assert!(!frame.is(Kind::GoAway, 0), "{frame:?}");
    }
    house.create_order(json!({})).await?;
    while let Some(frame) = connection.frame().await? {
        let came = String::from_utf8_lossy(&frame.payload);
        if frame.is(Kind::Data, 1) && came.contains("ImagingOrder.Created") {
            return Ok(());
        }
    }
    panic!("the feed ended with the stream beside it");
}

/// Number of clients that request full pages.
const READERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_pages_that_are_not_taken_are_bounded_and_others_are_served() -> Result<()> {
    let house = TestApp::start(EngineKind::Sqlite).await?;
    // A page of the log is limited to 8 MiB.
    let prose = "x".repeat(60_000);
    for number in 0..75 {
        let template = json!({
            "code": format!("T{number}"), "name": "Long", "template_type": "free_text",
            "description": prose, "default_text": prose,
        });
        let created = house
            .setup()
            .post("/radiology/templates", &template)
            .await?;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let whole = house.client.get("/events?limit=5000").await?;
    assert!(whole.text.len() > 7 << 20, "{} bytes", whole.text.len());
    let before = house.server.resident_bytes()?;
    let request = format!(
        "GET /events?limit=5000 HTTP/1.1\r\nhost: localhost\r\nx-tenant-id: {}\r\n\r\n",
        house.tenant
    );
    let asked = (0..READERS).map(|_| Raw::send(&house.server.base, request.as_bytes()));
    let mut readers = try_join_all(asked).await?;
    let answers = readers
        .iter_mut()
        .map(|reader| reader.starts_with(b"HTTP/1.1 200"));
    let answers = try_join_all(answers).await?;
    let served = answers.iter().filter(|is_page| **is_page).count();
    let grown = house.server.resident_bytes()?.saturating_sub(before);
    assert!(
        (1..READERS).contains(&served),
        "{served} of {READERS} are served"
    );
    assert!(grown < 320 << 20, "{grown} bytes for {READERS} readers");
    let other = TestClient::dev(&house.server.base, fresh());
    for (client, path) in [
        (&house.client, "/imaging/orders?limit=1"),
        (&other, "/events"),
    ] {
        let answer = client.get(path).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let again = poll::wait_until(
        "a page",
        CLOSED_WITHIN,
        async || {
            house
                .client
                .get("/events?limit=5000")
                .await
                .map(|page| page.status)
                .ok()
        },
        |status| *status == Some(200),
    );
    again.await?;
    flat(&house.server, before).await
}

/// Checks that memory is released after the clients disconnected. The allocator returns memory 1 s after it was freed,
/// during a later allocation: a server without requests would keep it.
async fn flat(server: &Server, before: u64) -> Result<()> {
    let probe = TestClient::new(&server.base);
    let grown = async || {
        let _ = probe.get("/health/ready").await;
        server
            .resident_bytes()
            .map_or(u64::MAX, |now| now.saturating_sub(before))
    };
    poll::wait_until("memory", CLOSED_WITHIN, grown, |grown| *grown < 96 << 20).await?;
    Ok(())
}
