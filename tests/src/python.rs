//! Python, for readers that are independent of this project.

use std::process::Command;

/// Returns the interpreter named by `ROENTGEN_TEST_PYTHON`, or `python3`. It needs the packages of
/// `tests/requirements.txt`.
pub fn python() -> Command {
    let named = std::env::var_os("ROENTGEN_TEST_PYTHON");
    Command::new(named.unwrap_or_else(|| "python3".into()))
}
