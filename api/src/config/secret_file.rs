//! Secret files: read only if no other user has access, and never through a symbolic link.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Reason why a secret file is rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFileError {
    /// Symbolic link.
    #[error("is a symbolic link: name the file itself")]
    Link,
    /// Directory, pipe or device.
    #[error("is not a regular file")]
    NotAFile,
    /// Readable or writable by other users.
    #[error("is open to others than its owner (mode {0:04o}): chmod 600 it")]
    OpenToOthers(u32),
    /// Owned by another user.
    #[error("belongs to another user (uid {0}): chown it")]
    OtherOwner(u32),
    /// I/O error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Environment variable with the directory of systemd credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Allowed access to a file, depending on its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilePlacement {
    /// Accessible by this user only.
    Own,
    /// Written by systemd for this service. With `User=` or `DynamicUser=`, root owns the file, the service reads it
    /// through an access control list, and the group bits of the mode show the list's mask (0440).
    Credentials,
}

impl FilePlacement {
    /// Compares the file's directory with the credentials directory, both with links resolved.
    fn classify(path: &Path, credentials: Option<&Path>) -> Self {
        let given = credentials.filter(|directory| directory.is_absolute() && path.is_absolute());
        let directory = given.and_then(|directory| directory.canonicalize().ok());
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        if directory.is_some() && directory == parent {
            Self::Credentials
        } else {
            Self::Own
        }
    }

    /// Returns whether the user `uid` may own a file if the server runs as user `own`.
    const fn allows_owner(self, uid: u32, own: u32) -> bool {
        match self {
            Self::Own => uid == own,
            Self::Credentials => uid == own || uid == ROOT,
        }
    }

    /// Returns the permission bits that a file must not have.
    const fn forbidden_bits(self) -> u32 {
        match self {
            Self::Own => 0o077,
            Self::Credentials => 0o037,
        }
    }
}

const ROOT: u32 = 0;

/// Returns the file's text. Checks and read use the same open file, so it cannot be replaced in between.
///
/// # Errors
///
/// [`SecretFileError`] with the remedy.
pub(crate) fn read(path: &Path) -> Result<String, SecretFileError> {
    read_given(path, credentials_directory().as_deref())
}

/// Checks a secret file that another component reads by path.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn check_path(path: &Path) -> Result<(), SecretFileError> {
    let place = FilePlacement::classify(path, credentials_directory().as_deref());
    check(&open(path)?, place)
}

fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from)
}

/// Reads a file, given the directory of systemd credentials.
fn read_given(path: &Path, credentials: Option<&Path>) -> Result<String, SecretFileError> {
    let mut file = open(path)?;
    check(&file, FilePlacement::classify(path, credentials))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens the file without following links and without blocking on a pipe.
fn open(path: &Path) -> Result<File, SecretFileError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    opened.map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            SecretFileError::Link
        } else {
            error.into()
        }
    })
}

fn check(file: &File, place: FilePlacement) -> Result<(), SecretFileError> {
    let found = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        Err(SecretFileError::NotAFile)
    } else if !place.allows_owner(found.uid(), own) {
        Err(SecretFileError::OtherOwner(found.uid()))
    } else if found.mode() & place.forbidden_bits() != 0 {
        Err(SecretFileError::OpenToOthers(found.mode() & 0o7777))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn file_that_others_can_read_or_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        write(&path, "hunter2").unwrap();
        for (mode, is_refused) in [
            (0o600, false),
            (0o400, false),
            (0o640, true),
            (0o604, true),
            (0o620, true),
            (0o666, true),
        ] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = read(&path);
            let refused =
                matches!(found, Err(SecretFileError::OpenToOthers(number)) if number == mode);
            assert_eq!(refused, is_refused, "{mode:o}: {found:?}");
        }
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read(&link), Err(SecretFileError::Link)));
        let folder = directory.path().join("folder");
        create_dir(&folder).unwrap();
        assert!(matches!(
            check_path(&folder),
            Err(SecretFileError::NotAFile)
        ));
        let none = read(&directory.path().join("none"));
        assert!(matches!(none, Err(SecretFileError::Io(_))));
    }

    #[test]
    fn file_of_systemd_may_be_readable_by_its_group_in_the_credentials_directory_only() {
        let directory = tempfile::tempdir().unwrap();
        let credentials = directory.path().join("credentials");
        let nested = credentials.join("nested");
        std::fs::create_dir_all(&nested).unwrap();
        let link = directory.path().join("link");
        symlink(&credentials, &link).unwrap();
        let secret = |directory: &Path, mode: u32| {
            let path = directory.join("secret");
            let _ = std::fs::remove_file(&path);
            write(&path, "hunter2").unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        for (mode, is_refused) in [
            (0o440, false),
            (0o400, false),
            (0o640, false),
            (0o460, true),
            (0o450, true),
            (0o444, true),
            (0o441, true),
        ] {
            let found = read_given(&secret(&credentials, mode), Some(&credentials));
            let refused = matches!(found, Err(SecretFileError::OpenToOthers(told)) if told == mode);
            assert_eq!(refused, is_refused, "{mode:o}: {found:?}");
        }
        let path = secret(&credentials, 0o440);
        assert!(read_given(&path, Some(&link)).is_ok());
        let elsewhere = [
            (secret(directory.path(), 0o440), Some(credentials.as_path())),
            (secret(&nested, 0o440), Some(&credentials)),
            (path.clone(), None),
            (path, Some(Path::new(""))),
        ];
        for (path, credentials) in elsewhere {
            let found = read_given(&path, credentials);
            let refused = matches!(found, Err(SecretFileError::OpenToOthers(0o440)));
            assert!(refused, "{}: {found:?}", path.display());
        }
    }

    #[test]
    fn file_of_root_is_taken_from_the_credentials_directory_only() {
        let root = 0;
        let own = 1000;
        let other = 1001;
        let owners =
            |place: FilePlacement| [root, own, other].map(|uid| place.allows_owner(uid, own));
        assert_eq!(owners(FilePlacement::Own), [false, true, false]);
        assert_eq!(owners(FilePlacement::Credentials), [true, true, false]);
    }
}
