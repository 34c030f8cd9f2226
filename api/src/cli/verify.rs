//! `roentgen verify`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use roentgen_store::chain::hex;
use roentgen_store::engine::Engine;
use roentgen_store::verify::{Verification, verify};

/// Exit 0 where the chain holds, 1 where it breaks.
pub(super) async fn run(engine: &dyn Engine) -> anyhow::Result<ExitCode> {
    let shown = std::io::stderr().is_terminal();
    let found = verify(engine, |position| {
        if shown {
            let _ = write!(std::io::stderr(), "\r{position} events");
        }
    })
    .await?;
    if shown {
        eprintln!();
    }
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
