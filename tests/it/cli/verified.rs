//! `roentgen verify`: reports about keys and about the rows of read models.

use anyhow::{Result, ensure};
use roentgen_domain::Change;
use roentgen_domain::order::{self, Order};
use roentgen_store::keys::MasterKey;
use roentgen_tests::{DbFile, EngineKind, RawDatabase};
use serde_json::json;
use uuid::Uuid;

use crate::abuse::rows::{stored, write};
use crate::faults::erasure::destroy_key;
use crate::faults::run;
use crate::read_model_audit::{OfflineDatabase, assert_match_log};
use crate::test_app::{MASTER_KEY, TestApp, fresh, on_both_engines};

on_both_engines!(
    keys_are_counted_and_an_erasure_is_no_finding,
    without_a_master_key_the_chain_alone_is_checked,
    damaged_key_is_named,
    sealed_part_out_of_form_is_named,
    row_that_is_not_its_fold_is_named,
);

async fn keys_are_counted_and_an_erasure_is_no_finding(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let patient = fresh();
    house.create_order(json!({ "patient_id": patient })).await?;
    house.create_order(json!({})).await?;
    destroy_key(&house, patient).await?;
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(0), "{}", ran.printed);
    let counts = "keys intact: 1 open, 1 erased, 2 sealed parts";
    ensure!(ran.printed.contains(counts), "{}", ran.printed);
    Ok(())
}

async fn without_a_master_key_the_chain_alone_is_checked(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    house.create_order(json!({})).await?;
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(0), "{}", ran.printed);
    for said in ["chain intact", "keys not checked"] {
        ensure!(ran.printed.contains(said), "{}", ran.printed);
    }
    let with_it = run(
        &house.database,
        &["verify", "--dev", "--master-key", MASTER_KEY],
    )?;
    ensure!(with_it.code == Some(0), "{}", with_it.printed);
    ensure!(
        with_it.printed.contains("keys intact: 1 open"),
        "{}",
        with_it.printed
    );
    let other = MasterKey::generate();
    let with_another = run(
        &house.database,
        &["verify", "--dev", "--master-key", &other],
    )?;
    ensure!(with_another.code == Some(1), "{}", with_another.printed);
    let named = "database was initialised with a different master key";
    ensure!(
        with_another.printed.contains(named),
        "{}",
        with_another.printed
    );
    Ok(())
}

async fn damaged_key_is_named(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    house.create_order(json!({})).await?;
    let mut keys = RawDatabase::on(&house.database, DbFile::Keys).await?;
    let damaged = match engine {
        EngineKind::Sqlite => "UPDATE patient_keys SET wrapped = key_id",
        EngineKind::Postgres => "UPDATE patient_keys SET wrapped = uuid_send(key_id)",
    };
    ensure!(keys.run(damaged).await? == 1);
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(1), "{}", ran.printed);
    ensure!(
        ran.printed.contains("does not open under the master key"),
        "{}",
        ran.printed
    );
    Ok(())
}

/// An authentic event whose sealed part is too short to contain a key id.
async fn sealed_part_out_of_form_is_named(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let order: Uuid = house
        .create_order(json!({}))
        .await?
        .text_at("/id")
        .parse()?;
    let beside = OfflineDatabase::open(&house.database).await?;
    let event = order::Event::DetailsUpdated(order::DetailsUpdated {
        order_id: order.into(),
        patient_id: fresh().into(),
        scheduled_slot_id: Change::Keep,
        performed_start_at: None,
        phi: None,
    });
    let sealed = std::iter::once(vec![2, 0, 0]);
    let stored = stored::<Order>(&house, order, &event, 1, sealed)?;
    write(&beside, order, 1, stored).await?;
    beside.close().await;
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(1), "{}", ran.printed);
    for said in [
        "chain intact",
        "malformed sealed PHI at position 4",
        "keys missing or corrupt: 1",
    ] {
        ensure!(ran.printed.contains(said), "{}", ran.printed);
    }
    Ok(())
}

async fn row_that_is_not_its_fold_is_named(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    house.create_order(json!({})).await?;
    assert_match_log(&house.database).await?;
    let busy = run(&house.database, &["verify", "--deep"])?;
    ensure!(busy.code == Some(70), "{}", busy.printed);
    ensure!(
        busy.printed.contains("stop all servers"),
        "{}",
        busy.printed
    );

    let TestApp {
        server, database, ..
    } = house;
    server.terminate()?;
    let whole = run(&database, &["verify", "--deep"])?;
    ensure!(whole.code == Some(0), "{}", whole.printed);
    ensure!(
        whole.printed.contains("the read models hold"),
        "{}",
        whole.printed
    );
    let mut read = RawDatabase::on(&database, DbFile::Read).await?;
    let alter = "UPDATE orders_v2 SET document = replace(document, 'routine', 'urgent')";
    ensure!(read.run(alter).await? == 1);
    drop(read);
    let altered = run(&database, &["verify", "--deep"])?;
    ensure!(altered.code == Some(1), "{}", altered.printed);
    let named = "of orders_v2 differs from the fold of its stream";
    ensure!(altered.printed.contains(named), "{}", altered.printed);

    let mut read = RawDatabase::on(&database, DbFile::Read).await?;
    let restore = "UPDATE orders_v2 SET document = replace(document, 'urgent', 'routine')";
    ensure!(read.run(restore).await? == 1);
    duplicate(&mut read).await?;
    drop(read);
    let one_more = run(&database, &["verify", "--deep"])?;
    ensure!(one_more.code == Some(1), "{}", one_more.printed);
    let named = "table orders_v2 has 2 rows, expected 1";
    ensure!(one_more.printed.contains(named), "{}", one_more.printed);
    Ok(())
}

/// Copies the only order's row under an id that is not in the log.
async fn duplicate(read: &mut RawDatabase) -> Result<()> {
    read.run("CREATE TABLE copied AS SELECT * FROM orders_v2")
        .await?;
    let id = read.id(fresh());
    read.run(&format!("UPDATE copied SET id = {id}")).await?;
    let copied = read
        .run("INSERT INTO orders_v2 SELECT * FROM copied")
        .await?;
    ensure!(copied == 1);
    read.run("DROP TABLE copied").await?;
    Ok(())
}
