//! One byte of a stored event changed past the program.

use anyhow::Result;
use roentgen_tests::{DbFile, EngineKind, RawDatabase};

use super::{run, verify};
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(one_byte_is_found_by_its_position);

async fn one_byte_is_found_by_its_position(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mut places = Vec::new();
    for _ in 0..3 {
        let created = house
            .setup()
            .post("/imaging/orders", &house.order())
            .await?;
        assert_eq!(created.status, 201, "{created:?}");
        places.push((created.header("location"), created.header("log-position")));
    }
    verify(&house.database)?;
    let (_, position) = places.remove(1);
    let mut log = RawDatabase::on(&house.database, DbFile::Log).await?;
    log.drop_append_only_triggers().await?;
    let changed = log.run(&changing(engine, &position)).await?;
    assert_eq!(changed, 1);

    let found = run(&house.database, &["verify"])?;
    assert_eq!(found.code, Some(1), "{}", found.printed);
    let named = format!("position {position}:");
    assert!(found.printed.contains(&named), "{}", found.printed);
    for (place, _) in places {
        assert_eq!(house.client.get(&place).await?.status, 200);
    }
    Ok(())
}

fn changing(engine: EngineKind, position: &str) -> String {
    let payload = match engine {
        EngineKind::Sqlite => "replace(payload, 'CT head', 'CT hemd')",
        EngineKind::Postgres => "replace(payload::text, 'CT head', 'CT hemd')::json",
    };
    format!("UPDATE events SET payload = {payload} WHERE position = {position}")
}
