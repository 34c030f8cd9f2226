//! A report's PHI, stored by the version of its event. Versions separate signed content from later edits; neither can
//! replace the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::content::AuthoredContent;
use crate::json::{Members, read_members};
use crate::phi::{Phi, PhiText};

/// PHI members of each event that has any, by version in the stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportPhi(BTreeMap<u64, Phi<Members>>);

/// Recipient and note of a communication.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CommunicationText {
    /// Recipient.
    pub recipient: PhiText,
    /// Additional information.
    pub note: Option<PhiText>,
}

impl ReportPhi {
    /// Creates the PHI from opened parts, as stored in a read model row.
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

    /// Returns the content written in these versions; later values replace earlier ones.
    pub fn authored_at(&self, versions: RangeInclusive<u64>) -> AuthoredContent {
        if versions.is_empty() {
            return AuthoredContent::default();
        }
        let parts = self.0.range(versions).map(|(_, map)| map.expose().clone());
        let laid_over: Members = parts.flatten().collect();
        read_members(&laid_over).unwrap_or_default()
    }

    /// Returns the approximate memory size of the members of all events, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(weight).sum()
    }

    /// Returns the approximate memory size of the members of these versions, in bytes.
    pub(super) fn bytes_of(&self, versions: &BTreeSet<u64>) -> usize {
        let parts = versions.iter().filter_map(|version| self.0.get(version));
        parts.map(weight).sum()
    }

    /// Returns the members of all events; later values replace earlier ones, and removed members are left out.
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

    /// Returns the text of the addendum with this version.
    pub fn addendum(&self, version: u64) -> Option<PhiText> {
        self.member(version, "content")
    }

    /// Returns the text of the communication with this version.
    pub fn communication_text(&self, version: u64) -> Option<CommunicationText> {
        read_members(self.0.get(&version)?.expose()).ok()
    }

    /// Returns the note with this version.
    pub fn note(&self, version: u64) -> Option<PhiText> {
        self.member(version, "note")
    }

    /// Returns the reason of the cancellation with this version.
    pub fn cancellation_reason(&self, version: u64) -> Option<PhiText> {
        self.member(version, "cancellation_reason")
    }
}

fn weight(part: &Phi<Members>) -> usize {
    let members = part.expose().iter();
    let texts = members.map(|(name, member)| name.len() + member.as_str().len());
    size_of::<(u64, Members)>() + texts.sum::<usize>()
}
