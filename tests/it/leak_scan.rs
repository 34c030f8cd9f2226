//! Scan for texts that must not appear: in files, dumps, logs and responses.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use roentgen_tests::{EngineKind, TestDatabase};

use crate::faults::tool;

/// Returns everything that a server stores: the files of its directory and its subdirectories, and a dump of
/// PostgreSQL. Logs are scanned separately.
pub(crate) fn dump_storage(database: &TestDatabase) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    files(&database.directory(), &mut all)?;
    if database.engine == EngineKind::Postgres {
        all.extend(tool(Command::new("pg_dump").arg(&database.url))?);
    }
    Ok(all)
}

fn files(directory: &Path, all: &mut Vec<u8>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, all)?;
        } else if path.extension() != Some("log".as_ref()) {
            all.extend(std::fs::read(path)?);
            all.push(b'\n');
        }
    }
    Ok(())
}

/// Checks that none of the texts is present, in any letter case, plain or in PostgreSQL's hex format of bytes.
pub(crate) fn assert_absent<W: AsRef<str>>(words: &[W], place: &str, bytes: &[u8]) -> Result<()> {
    let text = folded(bytes);
    for word in words {
        ensure!(
            !holds(&text, word.as_ref()),
            "{} is in {place}",
            word.as_ref()
        );
    }
    Ok(())
}

/// Checks that all of the texts are present, which proves that the scan works.
pub(crate) fn assert_present<W: AsRef<str>>(words: &[W], place: &str, bytes: &[u8]) -> Result<()> {
    let text = folded(bytes);
    for word in words {
        ensure!(
            holds(&text, word.as_ref()),
            "{} is not in {place}",
            word.as_ref()
        );
    }
    Ok(())
}

/// Converts to lower case; ASCII texts survive the conversion whatever bytes surround them.
fn folded(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

fn holds(text: &str, word: &str) -> bool {
    let hex: String = word.bytes().map(|bytes| format!("{bytes:02x}")).collect();
    text.contains(&word.to_ascii_lowercase()) || text.contains(&hex)
}
