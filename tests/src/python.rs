//! Python, for readers that are not ours.

use std::process::Command;

/// The interpreter that `ROENTGEN_TEST_PYTHON` names, or `python3`. It needs what `tests/requirements.txt` lists.
pub fn python() -> Command {
    let named = std::env::var_os("ROENTGEN_TEST_PYTHON");
    Command::new(named.unwrap_or_else(|| "python3".into()))
}
