//! Another master key than the database was first opened with.

use std::cell::RefCell;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::Result;
use roentgen_store::keys::MasterKey;
use roentgen_tests::server::program;
use roentgen_tests::{Engine, poll};

use crate::story::{House, on_both_engines};

on_both_engines!(another_master_key_is_refused_by_name);

const START: Duration = Duration::from_secs(15);

async fn another_master_key_is_refused_by_name(engine: Engine) -> Result<()> {
    let House {
        server, database, ..
    } = House::open(engine).await?;
    server.terminate()?;
    let mut serve = program(&database);
    serve
        .arg("serve")
        .env("ROENTGEN_MASTER_KEY", MasterKey::generate());
    let refused = ended(&mut serve).await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("this database belongs to another master key"),
        "{said}"
    );
    Ok(())
}

/// What a process that ends by itself printed; one that does not is killed.
async fn ended(command: &mut Command) -> Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = RefCell::new(command.spawn()?);
    let exit = async || child.borrow_mut().try_wait();
    let waited = poll::until("the end of the process", START, exit, |it| {
        matches!(it, Ok(Some(_)))
    });
    let waited = waited.await;
    let mut child = child.into_inner();
    if waited.is_err() {
        child.kill()?;
    }
    waited??;
    Ok(child.wait_with_output()?)
}
