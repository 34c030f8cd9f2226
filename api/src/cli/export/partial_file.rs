//! File that gets its final name only when complete, so that no reader opens a partial export.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use tempfile::NamedTempFile;

/// Temporary file in the target directory, readable by its owner only; removed if dropped before [`Self::persist`].
#[derive(Debug)]
pub(super) struct PartialFile {
    file: NamedTempFile,
    directory: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl PartialFile {
    /// Creates the temporary file. Rejects an existing target unless `replace` is set; links and devices are never
    /// replaced.
    pub(super) fn create_next_to(path: &Path, replace: bool) -> anyhow::Result<Self> {
        match path.symlink_metadata() {
            Ok(there) if replace => {
                ensure!(there.is_file(), "{} is not a regular file", path.display())
            }
            Ok(_) => bail!(
                "{} already exists; use --force to overwrite",
                path.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(path.display().to_string()),
        }
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".roentgen-export-")
            .suffix(".part")
            .tempfile_in(&directory)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            file,
            directory,
            path: path.to_owned(),
            replace,
        })
    }

    /// Returns the file to write to.
    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Syncs the file to disk and renames it into place.
    pub(super) fn persist(self) -> anyhow::Result<()> {
        self.file.as_file().sync_all()?;
        let named = if self.replace {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        named
            .map_err(|error| error.error)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }
}
