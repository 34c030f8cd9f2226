//! The sealed PHI of a read-model row.

use std::collections::HashSet;

use roentgen_domain::VisiblePhi;
use roentgen_domain::ids::StreamId;
use roentgen_domain::json::Members;
use uuid::Uuid;

use super::PatientKeys;
use super::form::Header;
use crate::error::SealError;

/// The sealed parts of a stream's events that are still visible, as stored in a read-model row. Each part is stored as
/// the version of its event (be64), its length (be32) and its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedPhi(Vec<u8>);

/// The version of an event and its PHI members.
pub type PhiAtVersion = (u64, Members);

/// The version of an event and its sealed part.
type Part<'a> = (u64, &'a [u8]);

impl SealedPhi {
    /// Wraps stored bytes, which are not checked here.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes for storage.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns whether there is no sealed part.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the sealed part of an event; an empty one is ignored.
    pub fn push(&mut self, version: u64, sealed: &[u8]) {
        let Ok(length) = u32::try_from(sealed.len()) else {
            return;
        };
        if length > 0 {
            self.0.extend_from_slice(&version.to_be_bytes());
            self.0.extend_from_slice(&length.to_be_bytes());
            self.0.extend_from_slice(sealed);
        }
    }

    /// Drops the parts that later parts replace completely, so that opening the rest shows the same as opening all. A
    /// part of form 1 does not name its members: it stays, and replaces nothing.
    #[must_use]
    pub fn compacted(self, shown: &VisiblePhi) -> Self {
        let Ok(parts) = self.split() else {
            return self;
        };
        let mut replaced: HashSet<(usize, Uuid, String)> = HashSet::new();
        let mut kept = Vec::with_capacity(parts.len());
        for (version, sealed) in parts.into_iter().rev() {
            let header = Header::parse(sealed).map(|(header, _)| header);
            let named = header.and_then(|header| Some((header.key_id, header.members?)));
            let Some((key_id, members)) = named.filter(|_| !shown.alone.contains(&version)) else {
                kept.push((version, sealed));
                continue;
            };
            let division = shown.division(version);
            let mut shows =
                members.is_empty() && replaced.insert((division, key_id, String::new()));
            for name in members {
                shows |= replaced.insert((division, key_id, name));
            }
            if shows {
                kept.push((version, sealed));
            }
        }
        let mut compacted = Self::default();
        for (version, sealed) in kept.into_iter().rev() {
            compacted.push(version, sealed);
        }
        compacted
    }

    /// Opens all parts and merges their members; later parts win, and `null` removes a member of an earlier part.
    /// `None` if a part cannot be opened because its key was deleted on purpose.
    ///
    /// # Errors
    ///
    /// [`SealError::KeyMissing`] if the key of any part is missing, whatever the state of the other keys.
    pub fn open(
        &self,
        stream_id: StreamId,
        keys: &PatientKeys,
    ) -> Result<Option<Members>, SealError> {
        let parts = self.open_each(stream_id, keys)?;
        Ok(parts.map(|parts| {
            let mut members: Members = parts.into_iter().flat_map(|(_, part)| part).collect();
            members.retain(|_, member| !member.is_null());
            members
        }))
    }

    /// Opens all parts, each with the version of its event, in order; `None` as in [`Self::open`].
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_each(
        &self,
        stream_id: StreamId,
        keys: &PatientKeys,
    ) -> Result<Option<Vec<PhiAtVersion>>, SealError> {
        let mut parts = Vec::new();
        let mut is_erased = false;
        for (version, sealed) in self.split()? {
            let Some(plain) = keys.open(sealed, stream_id, version)? else {
                is_erased = true;
                continue;
            };
            let part = serde_json::from_slice(&plain).map_err(|_| SealError::Malformed)?;
            parts.push((version, part));
        }
        Ok((!is_erased).then_some(parts))
    }

    fn split(&self) -> Result<Vec<Part<'_>>, SealError> {
        let mut parts = Vec::new();
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let (version, sealed, after) = split_entry(rest).ok_or(SealError::Malformed)?;
            parts.push((version, sealed));
            rest = after;
        }
        Ok(parts)
    }
}

fn split_entry(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (sealed, rest) = rest.split_at_checked(length)?;
    Some((u64::from_be_bytes(*version), sealed, rest))
}

#[cfg(test)]
mod tests;
