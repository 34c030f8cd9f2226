//! Program `roentgen`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    roentgen_api::cli::run(std::env::args_os()).await
}
