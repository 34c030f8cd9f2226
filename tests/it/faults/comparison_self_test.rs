//! The comparison of read models with the log, on which other tests rely, detects differences.

use anyhow::Result;
use roentgen_tests::{DbFile, EngineKind, RawDatabase};

use crate::read_model_audit::assert_match_log;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(a_changed_row_is_seen);

/// Statements that change rows, and statements that undo them.
const CHANGES: [(&str, &str); 4] = [
    (
        "UPDATE orders_v2 SET document = replace(document, 'routine', 'urgent')",
        "UPDATE orders_v2 SET document = replace(document, 'urgent', 'routine')",
    ),
    (
        "UPDATE orders_v2 SET status = 'scheduled'",
        "UPDATE orders_v2 SET status = 'requested'",
    ),
    (
        "UPDATE orders_v2 SET version = version + 1",
        "UPDATE orders_v2 SET version = version - 1",
    ),
    (
        "UPDATE orders_v2 SET sealed = substr(sealed, 2)",
        "UPDATE orders_v2 SET version = version",
    ),
];

async fn a_changed_row_is_seen(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let created = house
        .setup()
        .post("/imaging/orders", &house.order())
        .await?;
    assert_eq!(created.status, 201, "{created:?}");
    let mut read = RawDatabase::on(&house.database, DbFile::Read).await?;
    for (change, back) in CHANGES {
        assert_eq!(
            assert_match_log(&house.database).await?,
            3,
            "before {change}"
        );
        read.run(change).await?;
        let seen = assert_match_log(&house.database).await;
        assert!(seen.is_err(), "not seen: {change}");
        read.run(back).await?;
    }
    Ok(())
}
