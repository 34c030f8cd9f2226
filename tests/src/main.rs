//! The program `roentgen`, built where the tests can find it; acts as the next release if a test asks for it.

use std::process::ExitCode;

use roentgen_tests::next_release::projections;

#[tokio::main]
async fn main() -> ExitCode {
    roentgen_api::cli::run_with_projections(std::env::args_os(), projections).await
}
