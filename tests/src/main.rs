//! The program `roentgen`, built where the tests can find it; as the next release where they ask for that.

use std::process::ExitCode;

use roentgen_tests::next_release::projections;

#[tokio::main]
async fn main() -> ExitCode {
    roentgen_api::cli::run_with_projections(std::env::args_os(), projections).await
}
