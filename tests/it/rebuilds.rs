//! Rebuilds of read models while servers are in use, are killed, and run two releases.

mod read_your_writes_client;
mod two_releases;

use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::server::program;
use roentgen_tests::{DbFile, EngineKind, Nats, RawDatabase, Server, TestDatabase};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::assertions::log_head;
use crate::faults::{CommandOutput, run, verify};
use crate::read_model_audit::assert_match_log;
use crate::relay::holds_the_log;
use crate::test_app::{TestApp, on_both_engines, random_delay, serve};
use crate::workflow::full_workflow::{PhiCanaries, run_workflow};
use read_your_writes_client::ReadYourWritesClient;

on_both_engines!(
    of_every_model_under_load_are_never_read_wrong,
    heavy_kill_in_the_middle_of_rebuilds,
    cli_rebuilds_without_a_server,
    are_refused_for_what_is_no_read_model,
    that_are_not_whole_are_said_to_be_missing,
);

/// Time limit for a new release to become ready, and for a dead leader's leases to expire.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
const CLERKS: usize = 6;
const KILLS: u32 = 8;
/// Delay between the start of a rebuild and the kill of the server and the rebuild command, in ms.
const KILL_DELAY_MS: Range<u64> = 50..900;

/// Clients that write and read their writes until they are stopped.
struct ClientPool {
    clerks: JoinSet<Result<ReadYourWritesClient>>,
    enough: CancellationToken,
}

impl ClientPool {
    fn open(clerks: impl IntoIterator<Item = ReadYourWritesClient>) -> Self {
        let enough = CancellationToken::new();
        let mut working = JoinSet::new();
        for mut clerk in clerks {
            let enough = enough.clone();
            working.spawn(async move {
                while !enough.is_cancelled() {
                    clerk.works_and_reads().await?;
                }
                Ok(clerk)
            });
        }
        Self {
            clerks: working,
            enough,
        }
    }

    /// Stops the clients and returns the number of correct reads.
    async fn close(mut self) -> Result<u32> {
        self.enough.cancel();
        let mut reads = 0;
        while let Some(clerk) = self.clerks.join_next().await {
            reads += clerk??.reads;
        }
        Ok(reads)
    }
}

/// Runs the program without blocking the clients.
async fn run_meanwhile(
    database: &TestDatabase,
    arguments: &'static [&'static str],
) -> Result<CommandOutput> {
    let mut command = program(database);
    command.args(arguments);
    let output = spawn_blocking(move || command.output()).await??;
    Ok(CommandOutput {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?,
    })
}

async fn of_every_model_under_load_are_never_read_wrong(engine: EngineKind) -> Result<()> {
    let nats = Nats::start().await?;
    let house = TestApp::open_with(engine, &["--dev", "--nats", &nats.url()]).await?;
    run_workflow(&house, &PhiCanaries::default()).await?;
    let clerks =
        std::iter::repeat_with(|| ReadYourWritesClient::new(&house, &house.client, &house.client));
    let office = ClientPool::open(clerks.take(CLERKS));
    for generation in 2..4 {
        let rebuilt = run_meanwhile(&house.database, &["rebuild", "--all"]).await?;
        ensure!(rebuilt.code == Some(0), "{}", rebuilt.printed);
        for projection in roentgen_projections::all() {
            let said = format!("{}_g{generation} is live", projection.model().schema_name());
            ensure!(rebuilt.printed.contains(&said), "{}", rebuilt.printed);
        }
    }
    let reads = office.close().await?;
    let rows = assert_match_log(&house.database).await?;
    let messages = holds_the_log(&nats, &house.database).await?.len();
    eprintln!("{engine:?}: {reads} reads, {rows} rows equal their folds, {messages} messages");
    ensure!(
        reads > 100,
        "too little load to prove anything: {reads} reads"
    );

    let before = log_head(&house.client).await?;
    let again = run_meanwhile(&house.database, &["rebuild", "--all"]).await?;
    ensure!(again.code == Some(0), "{}", again.printed);
    assert_eq!(
        log_head(&house.client).await?,
        before,
        "something was fired again"
    );
    assert_eq!(holds_the_log(&nats, &house.database).await?.len(), messages);
    verify(&house.database)
}

/// The server and the command are killed while they rebuild; their successors continue.
async fn heavy_kill_in_the_middle_of_rebuilds(engine: EngineKind) -> Result<()> {
    let mut house = TestApp::start(engine).await?;
    run_workflow(&house, &PhiCanaries::default()).await?;
    for _ in 0..KILLS {
        let rebuild = begin_rebuild(&house.database)?;
        // Not a wait: the random moment is what is tested.
        tokio::time::sleep(random_delay(KILL_DELAY_MS)).await;
        kill(rebuild)?;
        house.server.kill()?;
        house.server = start_again(&house.database).await?;
        house.client = house.client.with_base_url(&house.server.base);
        house.create_order_in_status("scheduled").await?;
    }
    let rebuilt = run(&house.database, &["rebuild", "--all"])?;
    ensure!(rebuilt.code == Some(0), "{}", rebuilt.printed);
    house.create_order_in_status("completed").await?;
    assert_match_log(&house.database).await?;
    Ok(())
}

fn begin_rebuild(database: &TestDatabase) -> Result<Child> {
    let mut rebuild: Command = program(database);
    rebuild.args(["rebuild", "--all"]);
    rebuild.stdout(Stdio::null()).stderr(Stdio::null());
    rebuild.spawn().context("the command does not start")
}

fn kill(mut child: Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Deletes the leases of the dead server and starts another one.
async fn start_again(database: &TestDatabase) -> Result<Server> {
    let mut read = RawDatabase::on(database, DbFile::Read).await?;
    read.run("DELETE FROM leases").await?;
    serve(database, &["--dev"]).await
}

async fn cli_rebuilds_without_a_server(engine: EngineKind) -> Result<()> {
    let mut house = TestApp::start(engine).await?;
    run_workflow(&house, &PhiCanaries::default()).await?;
    let exit = house.server.terminate()?;
    assert_eq!(exit, Some(0));
    for (arguments, said) in [
        (&["rebuild", "orders", "series"][..], "series_v2_g2 is live"),
        (&["projections"], "orders_v2_g2 "),
        (&["projections"], "retired"),
        (
            &["rebuild", "--cancel", "orders"],
            "no rebuild of orders in progress",
        ),
        (&["rebuild", "--drop", "series"], "series_v2 dropped"),
        (
            &["rebuild", "--drop", "series"],
            "no old generations of series",
        ),
    ] {
        let ran = run(&house.database, arguments)?;
        ensure!(ran.code == Some(0), "{arguments:?}: {}", ran.printed);
        ensure!(ran.printed.contains(said), "{arguments:?}: {}", ran.printed);
    }
    house.server = start_again(&house.database).await?;
    house.client = house.client.with_base_url(&house.server.base);
    house.create_order_in_status("scheduled").await?;
    assert_match_log(&house.database).await?;
    let shown = house.operator()?.get("/admin/projections").await?.json();
    let orders = shown.as_array().context("no array")?;
    let orders = orders.iter().find(|order| order["name"] == "orders");
    let orders = orders.context("no orders")?;
    assert_eq!(orders["table"], "orders_v2_g2");
    assert_eq!(orders["generations"][0]["table"], "orders_v2");
    assert_eq!(orders["generations"][0]["state"], "retired");
    Ok(())
}

async fn are_refused_for_what_is_no_read_model(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let ran = run(&house.database, &["rebuild", "orders", "odrers"])?;
    assert_eq!(ran.code, Some(70));
    let said = "no read model named odrers";
    assert!(ran.printed.contains(said), "{}", ran.printed);
    for arguments in [
        &["rebuild"][..],
        &["rebuild", "--all", "orders"],
        &["rebuild", "orders", "--drop", "--cancel"],
    ] {
        assert_eq!(run(&house.database, arguments)?.code, Some(64));
    }
    let shown = run(&house.database, &["projections"])?;
    assert!(!shown.printed.contains("_g2"), "{}", shown.printed);
    Ok(())
}

/// The state is the same as before a new release's table is built.
async fn that_are_not_whole_are_said_to_be_missing(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let place = house.create_order_in_status("scheduled").await?;
    assert_match_log(&house.database).await?;
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    let failed =
        "UPDATE generations SET state = 'failed', reason = 'by hand' WHERE name = 'orders_v2'";
    assert_eq!(read.run(failed).await?, 1);
    let fresh = house.second_server().await?;
    let client = house.client.with_base_url(&fresh.base);
    for path in ["/imaging/orders", "/health/ready"] {
        let answer = client.get(path).await?;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
        let detail = answer.text_at("/detail");
        assert!(
            detail.contains("read model orders is being built"),
            "{path}: {detail}"
        );
    }
    assert_eq!(client.get("/imaging/procedures").await?.status, 200);
    let folded = client.get(&format!("{place}?as_of=9999-01-01")).await?;
    assert_eq!(folded.text_at("/status"), "scheduled");
    let built = run(&house.database, &["rebuild", "orders"])?;
    ensure!(built.code == Some(0), "{}", built.printed);
    assert_eq!(client.get("/health/ready").await?.status, 200);
    assert_match_log(&house.database).await?;
    Ok(())
}
