//! Files with secrets: read only where nobody but this user can, and never by way of a link.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a secret's file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is a symbolic link.
    #[error("is a symbolic link: name the file itself")]
    Link,
    /// It is a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Others may read or change it.
    #[error("is open to others than its owner (mode {0:04o}): chmod 600 it")]
    OpenToOthers(u32),
    /// It is somebody else's.
    #[error("belongs to another user (uid {0}): chown it")]
    OtherOwner(u32),
    /// The system's own reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// The file's text. What is checked is what is read: the file stays open between.
///
/// # Errors
///
/// [`Refused`], which names what to do.
pub(crate) fn read(path: &Path) -> Result<String, Refused> {
    let mut file = open(path)?;
    check(&file)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Checks a secret's file that another program part reads by its path.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn check_path(path: &Path) -> Result<(), Refused> {
    check(&open(path)?)
}

/// A pipe is not waited for.
fn open(path: &Path) -> Result<File, Refused> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    opened.map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            Refused::Link
        } else {
            error.into()
        }
    })
}

fn check(file: &File) -> Result<(), Refused> {
    let found = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        Err(Refused::NotAFile)
    } else if found.uid() != own {
        Err(Refused::OtherOwner(found.uid()))
    } else if found.mode() & OTHERS != 0 {
        Err(Refused::OpenToOthers(found.mode() & 0o7777))
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
            let refused = matches!(found, Err(Refused::OpenToOthers(it)) if it == mode);
            assert_eq!(refused, is_refused, "{mode:o}: {found:?}");
        }
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read(&link), Err(Refused::Link)));
        let folder = directory.path().join("folder");
        create_dir(&folder).unwrap();
        assert!(matches!(check_path(&folder), Err(Refused::NotAFile)));
        let none = read(&directory.path().join("none"));
        assert!(matches!(none, Err(Refused::Io(_))));
    }
}
