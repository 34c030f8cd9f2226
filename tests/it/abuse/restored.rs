//! Database files that are missing, older or from another database: the server rejects them with the reason or works
//! correctly, and never reports `erased`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use roentgen_tests::{EngineKind, Server, TestClient, TestDatabase, poll};
use serde_json::json;
use uuid::Uuid;

use crate::faults::{CommandOutput, run};
use crate::read_model_audit::assert_match_log;
use crate::test_app::{MASTER_KEY, SECRET, TestApp, create_catalog, fresh};

const SERVES: [&str; 5] = ["serve", "--dev", "--master-key", MASTER_KEY, "--jwt-secret"];
const WITHIN: Duration = Duration::from_secs(15);

/// Files of the database.
const LOG: &str = "roentgen.db";
const READ: &str = "roentgen-read.db";
const KEYS: &str = "roentgen-keys.db";

/// Replacement of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instead {
    Nothing,
    Yesterdays,
    AnotherHouses,
}

/// Expected behaviour of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The server does not start, and `verify` reports the same error.
    Refused(&'static str),
    /// The server executes commands and is not ready.
    NotReady(&'static str),
    /// Everything is unchanged.
    Right,
}

const MATRIX: [(&str, Instead, Then); 9] = [
    (LOG, Instead::Nothing, Then::Refused("the log is missing")),
    (
        LOG,
        Instead::Yesterdays,
        Then::NotReady("restored to an earlier point"),
    ),
    (
        LOG,
        Instead::AnotherHouses,
        Then::Refused("the keys belong to another log"),
    ),
    (READ, Instead::Nothing, Then::Right),
    (READ, Instead::Yesterdays, Then::Right),
    (
        READ,
        Instead::AnotherHouses,
        Then::NotReady("or is a different log"),
    ),
    (
        KEYS,
        Instead::Nothing,
        Then::Refused("the keys of this log are missing"),
    ),
    (
        KEYS,
        Instead::Yesterdays,
        Then::Refused("the keys are older than the log"),
    ),
    (
        KEYS,
        Instead::AnotherHouses,
        Then::Refused("the keys belong to another log"),
    ),
];

/// One database at two times, and another database with the same master key.
struct Scene {
    tenant: Uuid,
    yesterday: TestDatabase,
    today: TestDatabase,
    elsewhere: TestDatabase,
    /// One order of yesterday and one of today, each of a different patient.
    orders: [String; 2],
}

impl Scene {
    async fn play() -> Result<Self> {
        let (house, first) = house_with_an_order().await?;
        let TestApp {
            server,
            database,
            tenant,
            procedure,
            ..
        } = house;
        server.terminate()?;
        let yesterday = database.copy().await?;
        let (server, client) = serving(&database, tenant).await?;
        let second = ordered(&client, &procedure).await?;
        server.terminate()?;
        let (other, _) = house_with_an_order().await?;
        other.server.terminate()?;
        Ok(Self {
            tenant,
            yesterday,
            today: database,
            elsewhere: other.database,
            orders: [first, second],
        })
    }

    /// Returns today's database with one file replaced.
    async fn with(&self, file: &str, instead: Instead) -> Result<TestDatabase> {
        let mixed = self.today.copy().await?;
        let place = mixed.directory().join(file);
        remove(&place)?;
        let from = match instead {
            Instead::Nothing => return Ok(mixed),
            Instead::Yesterdays => &self.yesterday,
            Instead::AnotherHouses => &self.elsewhere,
        };
        std::fs::copy(from.directory().join(file), place)?;
        Ok(mixed)
    }
}

/// Removes a SQLite file with its `-wal` and `-shm` files.
fn remove(file: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{end}", file.display()));
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

async fn house_with_an_order() -> Result<(TestApp, String)> {
    let arguments = ["--dev", "--master-key", MASTER_KEY];
    let house = TestApp::open_with(EngineKind::Sqlite, &arguments).await?;
    let order = ordered(&house.client, &house.procedure).await?;
    Ok((house, order))
}

async fn ordered(client: &TestClient, procedure: &str) -> Result<String> {
    let order = json!({
        "patient_id": fresh(), "imaging_procedure_id": procedure, "indication": "headache",
    });
    let created = client.post("/imaging/orders", &order).await?;
    ensure!(created.status == 201, "{created:?}");
    // The read models contain it before the server ends.
    let listed = client.get("/imaging/orders").await?;
    ensure!(listed.ids().contains(&created.text_at("/id")), "{listed:?}");
    Ok(created.text_at("/id"))
}

async fn serving(database: &TestDatabase, tenant: Uuid) -> Result<(Server, TestClient)> {
    let server = crate::test_app::serve(database, &["--dev", "--master-key", MASTER_KEY]).await?;
    let client = TestClient::dev(&server.base, tenant);
    Ok((server, client))
}

fn verify(database: &TestDatabase) -> Result<CommandOutput> {
    run(
        database,
        &["verify", "--master-key", MASTER_KEY, "--jwt-secret", SECRET],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_missing_older_or_anothers_is_refused_by_name_or_right() -> Result<()> {
    let scene = Scene::play().await?;
    for (file, instead, then) in MATRIX {
        let case = format!("{file}, {instead:?}");
        let database = scene.with(file, instead).await?;
        let as_expected = match then {
            Then::Refused(named) => refused(&scene, &database, file, named).await,
            Then::NotReady(named) => not_ready(&scene, &database, named).await,
            Then::Right => right(&scene, &database).await,
        };
        as_expected.context(case)?;
    }
    Ok(())
}

/// Nothing is written before the right file is restored; then everything is readable.
async fn refused(scene: &Scene, database: &TestDatabase, file: &str, named: &str) -> Result<()> {
    let arguments = [&SERVES[..], &[SECRET]].concat();
    let said = run(database, &arguments)?;
    ensure!(said.code == Some(70), "{}", said.printed);
    ensure!(said.printed.contains(named), "{}", said.printed);
    ensure!(said.printed.contains("Restore"), "{}", said.printed);
    let verified = verify(database)?;
    ensure!(verified.code == Some(1), "{}", verified.printed);
    ensure!(verified.printed.contains(named), "{}", verified.printed);

    let place = database.directory().join(file);
    for beside in ["-wal", "-shm"] {
        let left = PathBuf::from(format!("{}{beside}", place.display()));
        ensure!(
            !left.exists(),
            "{} would be read into the restored file",
            left.display()
        );
    }
    std::fs::copy(scene.today.directory().join(file), place)?;
    right(scene, database).await
}

async fn not_ready(scene: &Scene, database: &TestDatabase, named: &str) -> Result<()> {
    let (server, client) = serving(database, scene.tenant).await?;
    let asked = async || client.get("/health/ready").await;
    let is_refused = |answer: &Result<roentgen_tests::TestResponse>| {
        answer.as_ref().is_ok_and(|response| response.status == 503)
    };
    let refused = poll::wait_until("readiness", WITHIN, asked, is_refused).await??;
    ensure!(refused.text_at("/detail").contains(named), "{refused:?}");
    nothing_is_erased(&client, &scene.orders).await?;
    create_catalog(&TestClient::dev(&server.base, fresh())).await?;
    server.terminate()?;
    let verified = verify(database)?;
    ensure!(verified.code == Some(0), "{}", verified.printed);
    Ok(())
}

async fn right(scene: &Scene, database: &TestDatabase) -> Result<()> {
    let (server, client) = serving(database, scene.tenant).await?;
    // The comparison reads the key from this file.
    let key = database.directory().join("dev-master-key");
    std::fs::write(key, MASTER_KEY)?;
    assert_match_log(database).await?;
    nothing_is_erased(&client, &scene.orders).await?;
    for order in &scene.orders {
        let place = format!("/imaging/orders/{order}");
        let read = client.get(&place).await?;
        ensure!(read.text_at("/indication") == "headache", "{read:?}");
        let changed = json!({ "metadata": { "ward": "7" } });
        let changed = client.patch(&place, &changed).await?;
        ensure!(changed.text_at("/phi") == "open", "{changed:?}");
    }
    let ready = client.get("/health/ready").await?;
    ensure!(ready.status == 200, "{ready:?}");
    server.terminate()?;
    let verified = verify(database)?;
    ensure!(
        verified.code == Some(0) && verified.printed.contains("keys intact: 2 open, 0 erased"),
        "{}",
        verified.printed
    );
    Ok(())
}

/// Checks single reads, the list, earlier states and the feed.
async fn nothing_is_erased(client: &TestClient, orders: &[String]) -> Result<()> {
    let mut answers = vec![
        client.get("/imaging/orders").await?,
        client.get("/events?phi=true&limit=1000").await?,
    ];
    for order in orders {
        answers.push(client.get(&format!("/imaging/orders/{order}")).await?);
        let past = format!("/imaging/orders/{order}?as_of=2100-01-01");
        answers.push(client.get(&past).await?);
    }
    for answer in answers {
        ensure!(!answer.text.contains("\"erased\""), "{answer:?}");
        ensure!(
            answer.status < 500 || answer.code() != "internal",
            "{answer:?}"
        );
    }
    Ok(())
}

/// The case that was found in practice: the keys file was moved away, and the server started with another master key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_keys_under_another_master_key_are_refused() -> Result<()> {
    let scene = Scene::play().await?;
    let database = scene.with(KEYS, Instead::Nothing).await?;
    let other = roentgen_store::keys::MasterKey::generate();
    let arguments = [
        "serve",
        "--dev",
        "--master-key",
        &other,
        "--jwt-secret",
        SECRET,
    ];
    let said = run(&database, &arguments)?;
    ensure!(said.code == Some(70), "{}", said.printed);
    ensure!(
        said.printed.contains("the keys of this log are missing"),
        "{}",
        said.printed
    );
    ensure!(!said.printed.contains(&other), "the key is told");
    Ok(())
}
