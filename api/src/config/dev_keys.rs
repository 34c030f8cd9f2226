//! Keys that `--dev` makes up: kept in a file that only its owner reads, so that the next start finds the same.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use roentgen_store::clock;
use roentgen_store::keys::MasterKey;
use secrecy::SecretString;

use super::secret_file::{self, SecretFileError};

/// The key in this file, made now where there is none. Two processes that start at once keep one key. Neither the file
/// nor its draft is ever reached by a link that somebody else planted: both are created, and only then have a name.
///
/// # Errors
///
/// [`SecretFileError`] if the file is there and others can read it, or it is no file of this user's.
pub(super) fn load_or_generate(path: &Path) -> Result<SecretString, SecretFileError> {
    kept_as(path, &MasterKey::generate())
}

/// The same, with the text that it is to be where there is none.
///
/// # Errors
///
/// As [`load_or_generate`].
pub(super) fn kept_as(path: &Path, fresh: &str) -> Result<SecretString, SecretFileError> {
    if let Some(directory) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory)?;
    }
    if let Some(text) = found(path)? {
        return Ok(text);
    }
    let draft = path.with_extension(format!("{}.draft", clock::fresh_id().simple()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?
        .write_all(fresh.as_bytes())?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(fresh.to_owned().into()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(secret_file::read(path)?.trim().to_owned().into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The key in this file, if there is one.
///
/// # Errors
///
/// As [`load_or_generate`].
pub(super) fn found(path: &Path) -> Result<Option<SecretString>, SecretFileError> {
    match secret_file::read(path) {
        Ok(text) => Ok(Some(text.trim().to_owned().into())),
        Err(SecretFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(refused) => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{read_dir, read_to_string, write};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn generated_key_is_private_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data").join("dev-master-key");
        let first = load_or_generate(&path).unwrap();
        assert_eq!(
            load_or_generate(&path).unwrap().expose_secret(),
            first.expose_secret()
        );
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let names = read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "no draft stays");
    }

    #[test]
    fn planted_link_is_refused_and_its_target_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        write(&target, "somebody else's").unwrap();
        for (name, to) in [("existing", "target"), ("dangling", "nowhere")] {
            let path = directory.path().join(name);
            symlink(directory.path().join(to), &path).unwrap();
            assert!(
                matches!(load_or_generate(&path), Err(SecretFileError::Link)),
                "{name}"
            );
        }
        assert_eq!(read_to_string(&target).unwrap(), "somebody else's");
        assert!(!directory.path().join("nowhere").exists());
    }
}
