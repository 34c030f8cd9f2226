//! Keys that `--dev` makes up: kept in a file that only its owner reads, so that the next start finds the same.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use roentgen_store::keys::MasterKey;
use secrecy::SecretString;

/// The key in this file, made now where there is none. Two processes that start at once keep one key.
pub(super) fn kept(path: &Path) -> io::Result<SecretString> {
    kept_as(path, &MasterKey::generate())
}

/// The same, with the text that it is to be where there is none.
pub(super) fn kept_as(path: &Path, fresh: &str) -> io::Result<SecretString> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?
        .write_all(fresh.as_bytes())?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(fresh.to_owned().into()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(fs::read_to_string(path)?.trim().to_owned().into())
        }
        Err(error) => Err(error),
    }
}
