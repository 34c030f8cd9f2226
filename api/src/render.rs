//! Resources as JSON: the open members as they are stored, and the PHI laid in where the caller may see it.

use std::error::Error;

use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_domain::json::Members;
use roentgen_domain::phi::Phi;
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::StoreError;
use roentgen_store::error::error_chain;
use roentgen_store::keys::{KeyError, Keyring, PatientKeys, SealError, SealedPhi};
use roentgen_store::read_model::Row;
use serde::Serialize;

use crate::problem::Problem;

/// The member `phi`: what there is to see of a resource's PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhiState {
    /// It is laid in.
    Open,
    /// The reader may not see it.
    Sealed,
    /// The patient's key was destroyed on purpose, and has a tombstone.
    Erased,
    /// What is stored of it is damaged, or the patient's key is, or that key is missing without a tombstone.
    Unreadable,
}

/// A resource's PHI, where it is open.
#[derive(Debug)]
pub(crate) enum OpenedPhi<T> {
    /// It says this.
    Open(T),
    /// It does not open, for this reason.
    Unavailable(PhiState),
    /// It does not open since what is stored is damaged.
    Damaged,
}

impl PhiState {
    /// As it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Erased => "erased",
            Self::Unreadable => "unreadable",
        }
    }
}

impl<T> OpenedPhi<T> {
    /// PHI that was folded; without any, the patient is erased.
    pub(crate) fn folded(phi: Option<T>) -> Self {
        phi.map_or(Self::Unavailable(PhiState::Erased), Self::Open)
    }

    /// The member `phi`.
    pub(crate) const fn state(&self) -> PhiState {
        match self {
            Self::Open(_) => PhiState::Open,
            Self::Unavailable(state) => *state,
            Self::Damaged => PhiState::Unreadable,
        }
    }
}

/// A resource that was folded without its PHI, and why it has none.
pub(crate) fn closed_resource<A: Aggregate>(resource: &Versioned<A>, why: PhiState) -> String {
    let open = serde_json::to_string(resource).unwrap_or_default();
    match resource.state.patient_id() {
        Some(_) => with_phi(&open, OpenedPhi::Unavailable(why)),
        None => open,
    }
}

/// A resource as it was just decided or folded. One that never had PHI has nothing that was erased, as its row says
/// too.
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

/// A row of a read model; one that is about no patient has no PHI.
pub(crate) fn row(document: String, phi: Option<&OpenedPhi<Members>>) -> String {
    match phi {
        Some(OpenedPhi::Open(members)) => with_phi(&document, OpenedPhi::Open(members)),
        Some(OpenedPhi::Unavailable(state)) => with_phi(&document, OpenedPhi::Unavailable(*state)),
        Some(OpenedPhi::Damaged) => with_phi(&document, OpenedPhi::Damaged),
        None => document,
    }
}

/// A row's PHI members, laid over one another. They are sealed for the stream that the row is of.
pub(crate) async fn opened(
    row: &Row,
    stream_id: StreamId,
    patient: PatientId,
    keyring: &Keyring,
) -> Result<OpenedPhi<Members>, Problem> {
    opened_by(row, stream_id, patient, keyring, SealedPhi::open).await
}

/// A row's PHI, opened in this way. Damage is no error here: a list shows the row all the same.
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

/// Damaged PHI of this stream: logged and counted, and left out of what is shown.
pub(crate) fn unreadable<T>(stream_id: StreamId, error: &(dyn Error + 'static)) -> OpenedPhi<T> {
    tell_unreadable(stream_id, error);
    OpenedPhi::Damaged
}

/// PHI of this stream whose key is missing: the same, but that nothing stored is wrong.
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

/// The open members with the PHI behind them; without it, the member `phi` says why.
fn with_phi(open: &str, phi: OpenedPhi<&Members>) -> String {
    let state = format!("\"phi\":\"{}\"", phi.state().as_str());
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

/// A JSON object with further members at its end.
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
