//! `roentgen demo`: the imaging workflow and the AI workflow, played through the server's own HTTP API by people and
//! programs with roles, in a tenant of their own, and the trail they left.

mod ai;
mod cast;
mod catalog;
mod client;
mod imaging;
mod trail;

use std::process::ExitCode;

use roentgen_store::clock;
use roentgen_store::verify::{Break, Verification, verify};

use crate::cli::start;
use crate::config::Config;
use cast::Cast;
use client::Client;

/// Plays, shows the trail, verifies the log; then serves on, or exits.
pub(crate) async fn run(mut config: Config, once: bool) -> anyhow::Result<ExitCode> {
    config.play(once);
    let running = start(&config).await?;
    let cast = Cast::assemble(&config, clock::fresh_id())?;
    let client = Client::new(running.address);
    println!(
        "Roentgen at http://{}, log in {}",
        running.address, config.database
    );
    println!(
        "Everything below happens in tenant {}, made for this run.",
        cast.tenant
    );
    play(&client, &cast).await?;
    let held = match verify(&*running.app.store.engine, None, |_| {}).await? {
        Verification::Holds { head, .. } => {
            println!(
                "\nThe hash chain holds over all {} events of the log.",
                head.position
            );
            true
        }
        Verification::Broken(Break { position, reason }) => {
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

async fn play(client: &Client, cast: &Cast) -> anyhow::Result<()> {
    let house = catalog::fill(client, cast).await?;
    let head = imaging::play(client, cast, &house).await?;
    ai::play(client, cast, &house).await?;
    imaging::epilogue(client, cast, &house, &head).await?;
    trail::show(client, cast).await
}
