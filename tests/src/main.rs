//! The program `roentgen`, built where the tests can find it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    roentgen_api::cli::run(std::env::args_os()).await
}
