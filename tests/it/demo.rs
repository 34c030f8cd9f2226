//! `roentgen demo --once`: the first command that a new user runs.

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, TestDatabase};

use crate::test_app::on_both_engines;

on_both_engines!(plays_and_exits_0);

async fn plays_and_exits_0(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    for _again in 0..2 {
        let played = program(&database)
            .args(["demo", "--once", "--dev"])
            .output()?;
        let printed = String::from_utf8(played.stdout)?;
        assert!(played.status.success(), "{printed}");
        for line in [
            "transition_refused",
            "case_limit_reached",
            "events of 35 types: the twenty of the source system and 15 more",
            "The hash chain holds",
        ] {
            assert!(printed.contains(line), "{line} is not in:\n{printed}");
        }
    }
    Ok(())
}
