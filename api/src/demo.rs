//! `roentgen demo`: the workflow, played through the server's own HTTP API in a tenant of its own, and the trail it left.

mod client;
mod orders;

use std::process::ExitCode;

use roentgen_store::clock;
use roentgen_store::verify::{Verification, verify};

use crate::cli::start;
use crate::config::Config;
use client::Client;

/// Plays, shows the trail, verifies the log; then serves on, or exits.
pub(crate) async fn run(mut config: Config, once: bool) -> anyhow::Result<ExitCode> {
    config.play(once);
    let running = start(&config).await?;
    let client = Client::new(running.address, clock::fresh_id());
    println!(
        "Roentgen at http://{}, log in {}",
        running.address, config.database
    );
    println!(
        "Everything below happens in tenant {}, made for this run.\n",
        client.tenant
    );
    orders::play(&client).await?;
    println!("\nThe trail, as GET /events tells it:\n");
    client.print_trail().await?;
    let held = match verify(&*running.app.store.engine, |_| {}).await? {
        Verification::Holds(head) => {
            println!(
                "\nThe hash chain holds over all {} events of the log.",
                head.position
            );
            true
        }
        Verification::Broken { position, reason } => {
            println!("\nThe hash chain breaks at position {position}: {reason}.");
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
