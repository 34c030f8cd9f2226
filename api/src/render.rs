//! Rendering of resources as JSON: the open members as stored, with the PHI merged in if the caller may see it.

use std::error::Error;

use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_domain::json::Members;
use roentgen_domain::phi::Phi;
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::StoreError;
use roentgen_store::error::{KeyError, SealError, error_chain};
use roentgen_store::keys::{Keyring, PatientKeys, SealedPhi};
use roentgen_store::read_model::Row;
use serde::Serialize;

use crate::problem::Problem;

/// State of a resource's PHI, in the member `phi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhiState {
    /// The PHI is included.
    Open,
    /// The caller may not see the PHI.
    Sealed,
    /// The patient key was deleted on purpose and has a tombstone.
    Erased,
    /// The stored PHI or the patient key is corrupt, or the key is missing without a tombstone.
    Unreadable,
}

/// PHI of a resource, if it can be opened.
#[derive(Debug)]
pub(crate) enum OpenedPhi<T> {
    /// Opened PHI.
    Open(T),
    /// PHI that is not opened, for this reason.
    Unavailable(PhiState),
    /// PHI that cannot be opened because the stored bytes are corrupt.
    Damaged,
}

roentgen_domain::wire_enum! {
    PhiState: Open = "open", Sealed = "sealed", Erased = "erased", Unreadable = "unreadable";
}

impl<T> OpenedPhi<T> {
    /// Wraps PHI that was folded; `None` means that the patient is erased.
    pub(crate) fn folded(phi: Option<T>) -> Self {
        phi.map_or(Self::Unavailable(PhiState::Erased), Self::Open)
    }

    /// Returns the value of the member `phi`.
    pub(crate) const fn state(&self) -> PhiState {
        match self {
            Self::Open(_) => PhiState::Open,
            Self::Unavailable(state) => *state,
            Self::Damaged => PhiState::Unreadable,
        }
    }
}

/// Renders a resource that was folded without its PHI, with the reason.
pub(crate) fn closed_resource<A: Aggregate>(resource: &Versioned<A>, why: PhiState) -> String {
    let open = serde_json::to_string(resource).unwrap_or_default();
    match resource.state.patient_id() {
        Some(_) => with_phi(&open, OpenedPhi::Unavailable(why)),
        None => open,
    }
}

/// Renders a resource that was just decided or folded. A resource that never had PHI is not erased; its row agrees.
pub(crate) fn resource<A: Aggregate>(resource: &Versioned<A>) -> String {
    let open = serde_json::to_string(resource).unwrap_or_default();
    if resource.state.patient_id().is_none() {
        return open;
    }
    let never_had = resource.size.sealed == 0;
    let phi = resource.state.phi().map(Phi::into_inner);
    let phi = phi.or_else(|| never_had.then(Members::default));
    with_phi(&open, OpenedPhi::folded(phi.as_ref()))
}

/// Renders a row of a read model; a row that belongs to no patient has no PHI.
pub(crate) fn row(document: String, phi: Option<&OpenedPhi<Members>>) -> String {
    match phi {
        Some(OpenedPhi::Open(members)) => with_phi(&document, OpenedPhi::Open(members)),
        Some(OpenedPhi::Unavailable(state)) => with_phi(&document, OpenedPhi::Unavailable(*state)),
        Some(OpenedPhi::Damaged) => with_phi(&document, OpenedPhi::Damaged),
        None => document,
    }
}

/// Opens the PHI members of a row and merges them. They are sealed for the stream of the row.
pub(crate) async fn opened(
    row: &Row,
    stream_id: StreamId,
    patient: PatientId,
    keyring: &Keyring,
) -> Result<OpenedPhi<Members>, Problem> {
    opened_by(row, stream_id, patient, keyring, SealedPhi::open).await
}

/// Opens a row's PHI with `open`. Corrupt PHI is not an error, so that a list still contains the row.
pub(crate) async fn opened_by<T>(
    row: &Row,
    stream_id: StreamId,
    patient: PatientId,
    keyring: &Keyring,
    open: impl FnOnce(&SealedPhi, StreamId, &PatientKeys) -> Result<Option<T>, SealError>,
) -> Result<OpenedPhi<T>, Problem> {
    let keys = match keyring.keys(row.tenant_id, patient).await {
        Ok(keys) => keys,
        Err(error @ KeyError::CorruptPatientKey) => return Ok(unreadable(stream_id, &error)),
        Err(error) => return Err(StoreError::Keys(error).into()),
    };
    let sealed = SealedPhi::from_bytes(row.sealed.clone());
    match open(&sealed, stream_id, &keys) {
        Ok(phi) => Ok(OpenedPhi::folded(phi)),
        Err(SealError::KeyMissing) => Ok(unread(stream_id, &SealError::KeyMissing)),
        Err(error) => Ok(unreadable(stream_id, &error)),
    }
}

/// Logs and counts corrupt PHI of this stream, which is left out of the response.
pub(crate) fn unreadable<T>(stream_id: StreamId, error: &(dyn Error + 'static)) -> OpenedPhi<T> {
    tell_unreadable(stream_id, error);
    OpenedPhi::Damaged
}

/// Logs and counts PHI of this stream whose key is missing; the stored bytes are not corrupt.
pub(crate) fn unread<T>(stream_id: StreamId, error: &(dyn Error + 'static)) -> OpenedPhi<T> {
    tell_unreadable(stream_id, error);
    OpenedPhi::Unavailable(PhiState::Unreadable)
}

fn tell_unreadable(stream_id: StreamId, error: &(dyn Error + 'static)) {
    metrics::counter!("roentgen_unreadable_phi_total").increment(1);
    tracing::error!(
        event = "phi.unreadable",
        %stream_id,
        error = error_chain(error),
        "stored PHI cannot be decrypted",
    );
}

/// Appends the PHI to the open members; without PHI, the member `phi` states the reason.
fn with_phi(open: &str, phi: OpenedPhi<&Members>) -> String {
    let state = format!("\"phi\":\"{}\"", phi.state());
    let OpenedPhi::Open(phi) = phi else {
        return append_members(open, &state);
    };
    let object = serde_json::to_string(phi).unwrap_or_default();
    let members = object
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or_default();
    let comma = if members.is_empty() { "" } else { "," };
    append_members(open, &format!("{state}{comma}{members}"))
}

/// Appends members to a JSON object.
pub(crate) fn append_members(object: &str, members: &str) -> String {
    let mut text = String::with_capacity(object.len() + members.len() + 2);
    text.push_str(object.strip_suffix('}').unwrap_or(object));
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(members);
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use roentgen_domain::json::members_of;

    use super::*;

    #[test]
    fn phi_lies_behind_the_open_members() {
        let phi = members_of(&serde_json::json!({"indication": "x", "metadata": {"a": {}}}));
        let text = with_phi(r#"{"id":1}"#, OpenedPhi::Open(&phi));
        assert_eq!(
            text,
            r#"{"id":1,"phi":"open","indication":"x","metadata":{"a":{}}}"#
        );
        assert_eq!(
            with_phi(r#"{"id":1}"#, OpenedPhi::folded(None)),
            r#"{"id":1,"phi":"erased"}"#
        );
        assert_eq!(
            with_phi("{}", OpenedPhi::Open(&Members::new())),
            r#"{"phi":"open"}"#
        );
    }
}
