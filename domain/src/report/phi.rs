//! A report's PHI, kept by the version of the fact that told it: what was signed and what was written since then are
//! told apart by versions, and neither can take the other's place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::content::AuthoredContent;
use crate::json::{Members, read_members};
use crate::phi::{Phi, PhiText};

/// The PHI members of each of a report's facts that has any, by the fact's version in its stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportPhi(BTreeMap<u64, Phi<Members>>);

/// What was said to whom.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CommunicationText {
    /// Who was told.
    pub recipient: PhiText,
    /// More about it.
    pub note: Option<PhiText>,
}

impl ReportPhi {
    /// From opened parts, as a row of a read model carries them.
    pub fn from_parts(parts: impl IntoIterator<Item = (u64, Members)>) -> Self {
        let parts = parts.into_iter();
        Self(
            parts
                .map(|(version, part)| (version, Phi::new(part)))
                .collect(),
        )
    }

    pub(super) fn add(&mut self, version: u64, json: &[u8]) {
        if let Ok(members) = serde_json::from_slice(json) {
            self.0.insert(version, Phi::new(members));
        }
    }

    /// What was written in these versions, later words over earlier ones.
    pub fn authored_at(&self, versions: RangeInclusive<u64>) -> AuthoredContent {
        if versions.is_empty() {
            return AuthoredContent::default();
        }
        let parts = self.0.range(versions).map(|(_, map)| map.expose().clone());
        let laid_over: Members = parts.flatten().collect();
        read_members(&laid_over).unwrap_or_default()
    }

    /// What all facts' members take in memory, in bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(weight).sum()
    }

    /// The same of these versions.
    pub(super) fn bytes_of(&self, versions: &BTreeSet<u64>) -> usize {
        let parts = versions.iter().filter_map(|version| self.0.get(version));
        parts.map(weight).sum()
    }

    /// All members of all facts, the latest on top, without those that were taken away.
    pub(super) fn merged(&self) -> Members {
        let parts = self.0.values().map(|map| map.expose().clone());
        let mut members: Members = parts.flatten().collect();
        members.retain(|_, member| !member.is_null());
        members
    }

    fn member<T: DeserializeOwned>(&self, version: u64, name: &str) -> Option<T> {
        let value = self.0.get(&version)?.expose().get(name)?;
        value.read().ok()
    }

    /// The words of the addendum of this version.
    pub fn addendum(&self, version: u64) -> Option<PhiText> {
        self.member(version, "content")
    }

    /// The words about the communication of this version.
    pub fn communication_text(&self, version: u64) -> Option<CommunicationText> {
        read_members(self.0.get(&version)?.expose()).ok()
    }

    /// The note of this version.
    pub fn note(&self, version: u64) -> Option<PhiText> {
        self.member(version, "note")
    }

    /// The reason of the cancellation of this version.
    pub fn cancellation_reason(&self, version: u64) -> Option<PhiText> {
        self.member(version, "cancellation_reason")
    }
}

fn weight(part: &Phi<Members>) -> usize {
    let members = part.expose().iter();
    let texts = members.map(|(name, member)| name.len() + member.as_str().len());
    size_of::<(u64, Members)>() + texts.sum::<usize>()
}
