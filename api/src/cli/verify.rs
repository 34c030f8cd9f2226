//! `roentgen verify`.

use std::process::ExitCode;

use roentgen_store::chain::hex;
use roentgen_store::engine::Engine;
use roentgen_store::verify::{Verification, verify};

use super::progress::Progress;

/// Exit 0 where the chain holds, 1 where it breaks.
pub(super) async fn run(engine: &dyn Engine) -> anyhow::Result<ExitCode> {
    let progress = Progress::of(None);
    let found = verify(engine, |position| progress.at(position)).await?;
    drop(progress);
    Ok(match found {
        Verification::Holds(head) => {
            println!(
                "the chain holds: {} events, head {}",
                head.position,
                hex(&head.hash)
            );
            ExitCode::SUCCESS
        }
        Verification::Broken { position, reason } => {
            println!("the chain breaks at position {position}: {reason}");
            ExitCode::from(1)
        }
    })
}
