//! A long log: created, read over HTTP, exported, projected from position 0, and read by a starting server. Rates and
//! memory are printed during the run, which shows whether they stay constant.

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use roentgen_store::generation::GenerationState;
use roentgen_store::rebuild::RebuildService;
use tokio::time::{Instant, interval, sleep};

use crate::catch_up::forget;
use crate::database::{BenchDatabase, BenchNode};
use crate::http_client::{Connection, Server, configured, header, memory};
use crate::realistic_log::append_realistic_log;
use crate::replay::settled;

/// Number of events, and time, after which a line is printed.
const A_STEP: u64 = 1_000_000;
const A_LINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// Load of the node during a rebuild: number of events, and their interval.
const A_LOAD: (u64, Duration) = (12_800, Duration::from_secs(2));
/// Time limit of projections for the whole log.
const LONG: Duration = Duration::from_secs(3600);

/// Read model that is rebuilt.
const REBUILT: &str = "orders";

pub(crate) async fn measure(events: u64, log: Option<&str>) -> anyhow::Result<()> {
    println!("long: a log of {events} events");
    let database = match log {
        Some(name) => BenchDatabase::kept(name).await?,
        None => BenchDatabase::new().await?,
    };
    if filled(&database, events).await? {
        replayed(&database).await?;
        started(&database).await?;
        for format in ["ndjson", "parquet"] {
            exported(&database, format).await?;
        }
    }
    rebuilt(&database).await?;
    projected(&database).await?;
    rebuilt_beside_appends(&database).await?;
    match log {
        Some(_) => Ok(()),
        None => database.drop_it().await,
    }
}

/// Extends the log and returns whether it was shorter than requested. The result has up to 1 % fewer events than
/// requested.
async fn filled(database: &BenchDatabase, events: u64) -> anyhow::Result<bool> {
    let node = Arc::new(BenchNode::start(database).await?);
    let mut made = node.store.engine.head().await?.position;
    let is_shorter = made < events - events / 100;
    while is_shorter && made < events {
        let step = A_STEP.min(events - made);
        let started = Instant::now();
        append_realistic_log(&node, step).await?;
        made += step;
        line("appended, projected meanwhile", made, step, started, None);
    }
    let head = node.store.engine.head().await?.position;
    let reached = node.progress.wait_for(head, Instant::now() + LONG).await;
    ensure!(reached >= head, "the projections stay behind");
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    Ok(is_shorter)
}

/// Rebuilds all read models from position 0.
async fn projected(database: &BenchDatabase) -> anyhow::Result<()> {
    forget(database).await?;
    let began = Instant::now();
    let node = BenchNode::start(database).await?;
    let head = node.store.engine.head().await?.position;
    for model in roentgen_projections::all() {
        watched(&node, &model.model().schema_name(), began).await?;
    }
    line("projected from zero, all of it", head, head, began, None);
    node.stop().await;
    Ok(())
}

/// Rebuilds one read model in parallel with the live one.
async fn rebuilt(database: &BenchDatabase) -> anyhow::Result<()> {
    let node = BenchNode::start(database).await?;
    let began = Instant::now();
    let head = filled_again(&node).await?;
    line("rebuilt, all of it", head, head, began, None);
    node.stop().await;
    Ok(())
}

/// Rebuilds one read model while the node appends: the new generation has to reach a live one that advances.
async fn rebuilt_beside_appends(database: &BenchDatabase) -> anyhow::Result<()> {
    let (some, pause) = A_LOAD;
    println!("rebuilt beside appends, {some} events every {pause:?}");
    let node = Arc::new(BenchNode::start(database).await?);
    let began = Instant::now();
    let enough = Cell::new(false);
    let at_work = async {
        let mut tick = interval(pause);
        while !enough.get() {
            tick.tick().await;
            append_realistic_log(&node, some).await?;
        }
        Ok(())
    };
    let filling = async {
        let before = filled_again(&node).await;
        enough.set(true);
        before
    };
    let (before, ()) = tokio::try_join!(filling, at_work)?;
    let head = node.store.engine.head().await?.position;
    line("appended meanwhile", head, head - before, began, None);
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    Ok(())
}

/// Rebuilds the read model and returns the head of the log at the time of the request.
async fn filled_again(node: &BenchNode) -> anyhow::Result<u64> {
    let head = node.store.engine.head().await?.position;
    let rebuilding =
        RebuildService::new(Arc::clone(&node.store.engine), roentgen_projections::all());
    let began = Instant::now();
    let made = rebuilding.request(REBUILT).await?.context(REBUILT)?;
    watched(node, &made.name, began).await?;
    rebuilding.drop_old(REBUILT).await?;
    Ok(head)
}

/// Prints the progress of a generation until it is live.
async fn watched(node: &BenchNode, name: &str, began: Instant) -> anyhow::Result<()> {
    let mut from = 0;
    let mut started = began;
    let mut before: Option<GenerationState> = None;
    loop {
        let generations = node.store.engine.generations().await?;
        let now = generations
            .into_iter()
            .find(|generation| generation.name == name);
        let now = now.with_context(|| format!("{name} is gone"))?;
        let position = now.checkpoint.position;
        let goes_over = before
            .as_ref()
            .is_some_and(|state| state.name() != now.state.name());
        if before.is_none() || position == 0 {
            (from, started) = (position, Instant::now());
        }
        if position >= from + A_STEP || (goes_over && position > from) {
            line(
                &format!("{name} filled"),
                position,
                position - from,
                started,
                None,
            );
            (from, started) = (position, Instant::now());
        }
        if goes_over {
            println!(
                "{:<44} {:>10.1?}",
                format!("{name} is {}", now.state),
                began.elapsed()
            );
        }
        if !now.state.is_building() {
            ensure!(now.state == GenerationState::Live, "{}", now.state);
            return Ok(());
        }
        before = Some(now.state);
        sleep(PAUSE).await;
    }
}

/// Measures the time from the start of the program to its first ready response.
async fn started(database: &BenchDatabase) -> anyhow::Result<()> {
    let started = Instant::now();
    let server = Server::start(database).await?;
    let mut connection = Connection::open(&server.address, &Server::token(&["auditor"])?).await?;
    while connection.get("/health/ready").await?.status != 200 {
        ensure!(started.elapsed() < LONG, "the server is not ready");
        sleep(PAUSE).await;
    }
    println!("{:<44} {:>10.0?}", "started and ready", started.elapsed());
    Ok(())
}

async fn replayed(database: &BenchDatabase) -> anyhow::Result<()> {
    let server = Server::start(database).await?;
    let mut connection = Connection::open(&server.address, &Server::token(&["auditor"])?).await?;
    settled(&mut connection, LONG).await?;
    let mut after = 0_u64;
    let mut from = 0;
    let mut started = Instant::now();
    loop {
        let path = format!("/events?limit=5000&after={after}");
        let page = connection.get(&path).await?;
        ensure!(page.status == 200, "{}", page.head);
        let to = header(&page.head, "scanned-to").context("Scanned-To")?;
        let to: u64 = to.parse()?;
        let ended = to == after || page.body.is_empty();
        after = to;
        if after - from >= A_STEP || (ended && after > from) {
            line("replayed", after, after - from, started, server.memory());
            (from, started) = (after, Instant::now());
        }
        if ended {
            return Ok(());
        }
    }
}

async fn exported(database: &BenchDatabase, format: &str) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let started = Instant::now();
    let mut child = configured(&mut Command::new(std::env::current_exe()?))
        .args(["export", "--format", format, "--out"])
        .arg(directory.path().join("log"))
        .env("ROENTGEN_DATABASE", &database.url)
        .stderr(Stdio::null())
        .spawn()?;
    let mut next = started + A_LINE;
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let now = memory(child.id()).unwrap_or_default();
        most = most.max(now);
        if Instant::now() >= next {
            next += A_LINE;
            let megabytes = written(directory.path())? / 1_000_000;
            let took = started.elapsed().as_secs();
            let resident = now / 1_000_000;
            println!(
                "{:<44} {took:>6} s   {megabytes:>8} MB written   {resident:>6} MB resident",
                format!("exporting, {format}")
            );
        }
        sleep(PAUSE).await;
    };
    ensure!(status.success(), "export: {status}");
    println!(
        "{:<44} {:>10.1?}   {} MB resident at most",
        format!("exported, {format}"),
        started.elapsed(),
        most / 1_000_000
    );
    Ok(())
}

/// Returns the total size of the files in a directory, in bytes; an unfinished export has another name.
fn written(directory: &Path) -> anyhow::Result<u64> {
    let files = std::fs::read_dir(directory)?;
    let sizes = files.map(|file| anyhow::Ok(file?.metadata()?.len()));
    sizes.sum()
}

fn line(what: &str, position: u64, events: u64, started: Instant, memory: Option<u64>) {
    let rate = events as f64 / started.elapsed().as_secs_f64();
    let memory = memory.map(|memory| format!("   {:>6} MB resident", memory / 1_000_000));
    println!(
        "{:<44} {rate:>10.0}/s{}",
        format!("{what}, to {position}"),
        memory.unwrap_or_default()
    );
}
