//! `roentgen demo`: runs the imaging and AI workflows through the server's HTTP API, with users and services of several
//! roles in a new tenant, and prints the resulting events.

mod ai;
mod audit_trail;
mod catalog;
mod client;
mod imaging;
mod users;

use std::process::ExitCode;

use roentgen_store::chain_verification::{ChainBreak, Verification, verify};
use roentgen_store::clock;

use crate::cli::start;
use crate::config::Config;
use client::DemoClient;
use users::DemoUsers;

/// Runs the workflows, prints the audit trail and verifies the log; then keeps serving, or exits.
pub(crate) async fn run(mut config: Config, once: bool) -> anyhow::Result<ExitCode> {
    config.apply_demo_defaults(once);
    let running = start(&config).await?;
    let cast = DemoUsers::create(&config, clock::fresh_id())?;
    let client = DemoClient::new(running.address);
    println!(
        "Roentgen at http://{}, log in {}",
        running.address, config.database
    );
    println!(
        "Everything below happens in tenant {}, made for this run.",
        cast.tenant
    );
    run_workflows(&client, &cast).await?;
    let held = match verify(&*running.app.store.engine, None, |_| {}).await? {
        Verification::Intact { head, .. } => {
            println!(
                "\nThe hash chain holds over all {} events of the log.",
                head.position
            );
            true
        }
        Verification::Broken(ChainBreak { position, reason }) => {
            println!("\nThe hash chain is broken at position {position}: {reason}.");
            false
        }
    };
    if !once && held {
        println!(
            "\nServing on: http://{}/docs describes the API. Ctrl-C stops.",
            running.address
        );
        return running.until_signalled().await;
    }
    let clean = running.stop().await;
    Ok(if held && clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_workflows(client: &DemoClient, cast: &DemoUsers) -> anyhow::Result<()> {
    let house = catalog::create_catalog(client, cast).await?;
    let head = imaging::play(client, cast, &house).await?;
    ai::play(client, cast, &house).await?;
    imaging::closing_examples(client, cast, &house, &head).await?;
    audit_trail::show(client, cast).await
}
