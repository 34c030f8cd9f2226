//! Fault tests: invariants that hold after processes are killed or stopped, or data is tampered with, erased or
//! restored.

mod comparison_self_test;
mod duplicate_race;
pub(crate) mod erasure;
pub(crate) mod kill_policies;
mod kill_server;
mod master_key;
mod outages;
mod paused_node;
mod phi_at_rest;
mod restored_log;
mod tampered_event;

use std::process::Command;

use anyhow::Result;
use roentgen_tests::TestDatabase;
use roentgen_tests::server::program;

/// Output and exit code of a command of the program.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
}

/// Runs one command of the program on a database.
pub(crate) fn run(database: &TestDatabase, arguments: &[&str]) -> Result<CommandOutput> {
    let output = program(database).args(arguments).output()?;
    Ok(CommandOutput {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?,
    })
}

/// Checks that `verify` succeeds.
pub(crate) fn verify(database: &TestDatabase) -> Result<()> {
    let ran = run(database, &["verify"])?;
    anyhow::ensure!(ran.code == Some(0), "{}", ran.printed);
    Ok(())
}

/// Runs another program, which must succeed, and returns its standard output.
pub(crate) fn tool(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output()?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
