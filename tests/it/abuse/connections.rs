//! Connections that cost their client nothing: silent ones, and more of them than the server has slots.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::frames::{self, END_HEADERS, Kind};
use roentgen_tests::raw::CLOSED_WITHIN;
use roentgen_tests::server::program_with_descriptors;
use roentgen_tests::{EngineKind, Raw, Server, TestClient, TestDatabase, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::test_app::TestApp;

const POST: &str = "POST /imaging/orders HTTP/1.1\r\nhost: localhost\r\n";

/// Returns the points at which clients stop, and the bytes sent until then.
fn stops() -> Vec<(&'static str, Vec<u8>)> {
    let h2 = |more: &[u8]| [frames::begin(65_535).as_slice(), more].concat();
    let post = frames::headers("POST", "/imaging/orders", &[]);
    let some = &post[..post.len() / 2];
    let whole = frames::frame(Kind::Headers, END_HEADERS, 1, &post);
    let body = frames::frame(Kind::Data, 0, 1, b"{");
    vec![
        ("nothing", Vec::new()),
        ("one byte that may be either protocol's", b"P".to_vec()),
        ("half a request line", b"GET /hea".to_vec()),
        (
            "half of the headers",
            b"GET /health/live HTTP/1.1\r\nhost: loc".to_vec(),
        ),
        (
            "half a body",
            format!("{POST}content-length: 100\r\n\r\n{{").into_bytes(),
        ),
        (
            "half a chunk",
            format!("{POST}transfer-encoding: chunked\r\n\r\n5\r\n{{").into_bytes(),
        ),
        (
            "a body that was announced",
            format!("{POST}content-length: 9\r\nexpect: 100-continue\r\n\r\n").into_bytes(),
        ),
        (
            "a whole request",
            b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        ),
        ("half an HTTP/2 preface", frames::PREFACE[..16].to_vec()),
        ("an HTTP/2 preface", frames::PREFACE.to_vec()),
        ("HTTP/2 settings", h2(&[])),
        ("half a frame's head", h2(&[0, 0, 1])),
        ("half a frame", h2(&whole[..whole.len() / 2])),
        (
            "headers that go on",
            h2(&frames::frame(Kind::Headers, 0, 1, some)),
        ),
        ("HTTP/2 headers", h2(&whole)),
        ("half an HTTP/2 body", h2(&[whole, body].concat())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_is_closed_wherever_it_stops_and_others_are_served() -> Result<()> {
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let mut clients = Vec::new();
    for (stopped_after, bytes) in stops() {
        clients.push((stopped_after, Raw::send(&house.server.base, &bytes).await?));
    }
    let ended = join_all(
        clients
            .into_iter()
            .map(async |(stopped_after, mut client)| {
                (client.closed().await.is_none()).then_some(stopped_after)
            }),
    );
    let mut idle = Raw::send(&house.server.base, &frames::begin(65_535)).await?;
    let answers_pings = async {
        while idle.frame().await?.is_some() {}
        anyhow::Ok(())
    };
    let others = async {
        let orders = house.client.get("/imaging/orders").await?;
        assert_eq!(orders.status, 200, "{orders:?}");
        anyhow::Ok(())
    };
    let (ended, answers_pings, others) = tokio::join!(
        ended,
        tokio::time::timeout(CLOSED_WITHIN, answers_pings),
        others
    );
    others?;
    let still_open: Vec<_> = ended.into_iter().flatten().collect();
    assert_eq!(still_open, [""; 0], "still open");
    answers_pings.expect("a client that answers pings and asks for nothing is still connected")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_whose_client_stops_is_answered_408() -> Result<()> {
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let stopped = format!("{POST}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{");
    let mut client = Raw::send(&house.server.base, stopped.as_bytes()).await?;
    let came = client.closed().await.expect("still open");
    let came = String::from_utf8(came)?;
    assert!(came.starts_with("HTTP/1.1 408 "), "{came}");
    assert!(came.contains("no byte of the body came"), "{came}");
    Ok(())
}

/// File descriptors of a server, and the number of connections that leaves none for a further slot.
const DESCRIPTORS: u32 = 512;
const PLACES: usize = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_answered_while_all_places_are_held() -> Result<()> {
    for (arguments, held, told) in [
        (["--connections-per-address", "20"], 20, "from this address"),
        (
            ["--trusted-proxy", "127.0.0.0/8"],
            PLACES,
            "as many connections as it takes",
        ),
    ] {
        let database = TestDatabase::new(EngineKind::Sqlite).await?;
        let program = program_with_descriptors(&database, DESCRIPTORS);
        let server = Server::spawn_program(program, &database, |command: &mut Command| {
            command.arg("--dev").args(arguments);
        });
        let server = server.await?;
        let feed = b"GET /events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        let mut readers = Vec::new();
        for _ in 0..held {
            let mut reader = Raw::send(&server.base, feed).await?;
            let answered = reader.starts_with(b"HTTP/1.1 200").await?;
            assert!(answered, "{} of {held} are served", readers.len());
            readers.push(reader);
        }
        // More than the reserve: its oldest connections are closed to make room.
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(Raw::send(&server.base, b"GET /hea").await?);
            if silent.len() % 50 == 0 {
                health(&server).await?;
            }
        }
        let refused = TestClient::new(&server.base).get("/imaging/orders").await?;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, ProblemCode::Unavailable.as_str()),
            "{refused:?}"
        );
        assert!(refused.text_at("/detail").contains(told), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(refused.header("connection"), "close");
        health(&server).await?;
        drop(readers);
        let client = TestClient::new(&server.base);
        let served = poll::wait_until(
            "a place",
            CLOSED_WITHIN,
            async || {
                client
                    .get("/imaging/orders")
                    .await
                    .map(|answer| answer.status)
                    .ok()
            },
            |status| *status == Some(200),
        );
        served.await?;
        let metrics = client.get("/metrics").await?;
        assert!(
            metrics
                .text
                .contains("roentgen_connections_refused_total{limit=")
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_from_many_addresses_make_room() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    let program = program_with_descriptors(&database, DESCRIPTORS);
    let server = Server::spawn_program(program, &database, |command: &mut Command| {
        command.args(["--dev", "--connections-per-address", "100"]);
    });
    let server = server.await?;
    let reader = TestClient::new(&server.base);
    assert_eq!(reader.get("/imaging/orders").await?.status, 200);
    let mut silent = Vec::new();
    for number in 0..2 * PLACES {
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number / 50)?);
        silent.push(Raw::connect(&server.base, from).await?);
    }
    for client in [&TestClient::new(&server.base), &reader] {
        let orders = client.get("/imaging/orders").await?;
        assert_eq!(orders.status, 200, "{orders:?}");
    }
    health(&server).await?;
    drop(silent);
    Ok(())
}

/// More than the kernel queues for a server with the default backlog.
const BURST: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_connections_waits_for_a_busy_server() -> Result<()> {
    raise_the_limit_of_open_files();
    let house = TestApp::start(EngineKind::Sqlite).await?;
    house.server.signal("STOP")?;
    let mut burst = Vec::new();
    for number in 0..BURST {
        let connected = Raw::connect(&house.server.base, Ipv4Addr::LOCALHOST);
        let connected = tokio::time::timeout(Duration::from_secs(10), connected).await;
        burst.push(connected.with_context(|| format!("{number} are let in"))??);
    }
    house.server.signal("CONT")?;
    drop(burst);
    health(&house.server).await
}

async fn health(server: &Server) -> Result<()> {
    for path in ["/health/live", "/health/ready", "/api/v1/health/live"] {
        let answer = TestClient::new(&server.base).get(path).await?;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_says_how_many_connections_its_descriptors_leave_room_for() -> Result<()> {
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    let program = program_with_descriptors(&database, DESCRIPTORS);
    let server = Server::spawn_program(program, &database, |command: &mut Command| {
        command.arg("--dev");
    });
    let logged = server.await?.logged()?;
    let said = format!("\"descriptors\":{DESCRIPTORS},\"connections\":{PLACES}");
    assert!(logged.contains(&said), "{logged}");
    Ok(())
}

/// Number of connections opened by a client that sends nothing.
const SILENT: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_flood_of_silent_connections_takes_neither_places_nor_memory() -> Result<()> {
    raise_the_limit_of_open_files();
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let before = house.server.resident_bytes()?;
    let somebody = Ipv4Addr::new(127, 0, 0, 2);
    let mut silent = Vec::new();
    for number in 0..SILENT {
        silent.push(Raw::connect(&house.server.base, somebody).await?);
        if number % 1000 == 0 {
            let orders = house.client.get("/imaging/orders").await?;
            assert_eq!(orders.status, 200, "{number}: {orders:?}");
            health(&house.server).await?;
        }
    }
    let grown = house.server.resident_bytes()?.saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for {SILENT} connections");
    let closed = join_all(silent.iter_mut().map(Raw::closed)).await;
    let still_open = closed.iter().filter(|came| came.is_none()).count();
    assert_eq!(still_open, 0, "still open");
    Ok(())
}

fn raise_the_limit_of_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("the limit can be raised");
    let enough = maximum.is_none_or(|maximum| maximum > SILENT as u64 + 500);
    assert!(enough, "the test needs more open files: {maximum:?}");
}

/// RFC 9113, sections 6.5.2 and 6.9.2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_client_may_send_so_much_before_anybody_asks_for_it() -> Result<()> {
    const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
    const AT_FIRST: u32 = 65_535;
    let house = TestApp::start(EngineKind::Sqlite).await?;
    let mut client = Raw::send(&house.server.base, &frames::begin(AT_FIRST)).await?;
    let mut stream = None;
    let mut connection = None;
    while stream.is_none() || connection.is_none() {
        let frame = client.frame().await?.context("it is closed")?;
        if frame.kind == Kind::Settings as u8 {
            let mut settings = frame.payload.chunks_exact(6);
            let window = settings.find_map(|setting| setting.strip_prefix(&INITIAL_WINDOW_SIZE));
            stream = stream.or(window.map(number));
        } else if frame.is(Kind::WindowUpdate, 0) {
            connection = Some(AT_FIRST + number(&frame.payload));
        }
    }
    assert_eq!((stream, connection), (Some(128 << 10), Some(256 << 10)));
    Ok(())
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |all, byte| all << 8 | u32::from(*byte))
}
