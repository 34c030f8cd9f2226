//! `roentgen verify`: what it says of keys, and of the read models' rows.

use anyhow::{Result, ensure};
use roentgen_store::keys::MasterKey;
use roentgen_tests::{ByHand, Engine, Part};
use serde_json::json;

use crate::faults::erased::destroy_key;
use crate::faults::run;
use crate::read_models::equal_the_log;
use crate::story::{House, MASTER_KEY, fresh, on_both_engines};

on_both_engines!(
    keys_are_counted_and_an_erasure_is_no_finding,
    without_a_master_key_the_chain_alone_is_checked,
    damaged_key_is_named,
    row_that_is_not_its_fold_is_named,
);

async fn keys_are_counted_and_an_erasure_is_no_finding(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    let patient = fresh();
    house.ordered(json!({ "patient_id": patient })).await?;
    house.ordered(json!({})).await?;
    destroy_key(&house, patient).await?;
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(0), "{}", ran.printed);
    let counts = "the keys hold: 1 open, 1 erased, 2 sealed parts";
    ensure!(ran.printed.contains(counts), "{}", ran.printed);
    Ok(())
}

async fn without_a_master_key_the_chain_alone_is_checked(engine: Engine) -> Result<()> {
    let house = House::open_guarded(engine).await?;
    house.ordered(json!({})).await?;
    let ran = run(&house.database, &["verify"])?;
    ensure!(ran.code == Some(0), "{}", ran.printed);
    for said in ["the chain holds", "keys were not checked"] {
        ensure!(ran.printed.contains(said), "{}", ran.printed);
    }
    let with_it = run(
        &house.database,
        &["verify", "--dev", "--master-key", MASTER_KEY],
    )?;
    ensure!(with_it.code == Some(0), "{}", with_it.printed);
    ensure!(
        with_it.printed.contains("the keys hold: 1 open"),
        "{}",
        with_it.printed
    );
    let other = MasterKey::generate();
    let with_another = run(
        &house.database,
        &["verify", "--dev", "--master-key", &other],
    )?;
    ensure!(with_another.code == Some(1), "{}", with_another.printed);
    let named = "this database belongs to another master key";
    ensure!(
        with_another.printed.contains(named),
        "{}",
        with_another.printed
    );
    Ok(())
}

async fn damaged_key_is_named(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    house.ordered(json!({})).await?;
    let mut keys = ByHand::on(&house.database, Part::Keys).await?;
    let damaged = match engine {
        Engine::Sqlite => "UPDATE patient_keys SET wrapped = key_id",
        Engine::Postgres => "UPDATE patient_keys SET wrapped = uuid_send(key_id)",
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

async fn row_that_is_not_its_fold_is_named(engine: Engine) -> Result<()> {
    let house = House::open(engine).await?;
    house.ordered(json!({})).await?;
    equal_the_log(&house.database).await?;
    let busy = run(&house.database, &["verify", "--deep"])?;
    ensure!(busy.code == Some(70), "{}", busy.printed);
    ensure!(
        busy.printed.contains("stop all servers"),
        "{}",
        busy.printed
    );

    let House {
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
    let mut read = ByHand::on(&database, Part::Read).await?;
    let alter = "UPDATE orders_v1 SET document = replace(document, 'routine', 'urgent')";
    ensure!(read.run(alter).await? == 1);
    drop(read);
    let altered = run(&database, &["verify", "--deep"])?;
    ensure!(altered.code == Some(1), "{}", altered.printed);
    let named = "of orders_v1 is not what its stream makes";
    ensure!(altered.printed.contains(named), "{}", altered.printed);
    Ok(())
}
