//! Resources as JSON: the open members as they are stored, and the PHI laid in where the caller may see it.

use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::StoreError;
use roentgen_store::keys::{Keyring, SealedParts};
use roentgen_store::model::Row;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// A resource as it was just decided or folded.
pub(crate) fn resource<A: Aggregate>(resource: &Versioned<A>) -> String {
    let open = serde_json::to_string(resource).unwrap_or_default();
    if resource.state.patient_id().is_none() {
        return open;
    }
    let phi = resource.state.phi();
    with_phi(&open, phi.as_ref().map(roentgen_domain::phi::Phi::expose))
}

/// The same for who may not see its PHI.
pub(crate) fn sealed_resource<A: Aggregate>(resource: &Versioned<A>) -> String {
    let open = serde_json::to_string(resource).unwrap_or_default();
    match resource.state.patient_id() {
        Some(_) => splice(&open, SEALED),
        None => open,
    }
}

/// A row for who may not see its PHI.
pub(crate) fn sealed_row(row: Row) -> String {
    match row.patient_id {
        Some(_) => splice(&row.document, SEALED),
        None => row.document,
    }
}

const SEALED: &str = "\"phi\":\"sealed\"";

/// A row of a read model.
pub(crate) async fn row(row: Row, keyring: &Keyring) -> Result<String, Problem> {
    let Some(patient) = row.patient_id else {
        return Ok(row.document);
    };
    let phi = opened(&row, row.id.into(), patient, keyring).await?;
    Ok(with_phi(&row.document, phi.as_ref()))
}

/// A row's PHI members, laid over one another; `None` where the patient is erased. They are sealed for the stream that
/// the row is of.
pub(crate) async fn opened(
    row: &Row,
    stream_id: StreamId,
    patient: PatientId,
    keyring: &Keyring,
) -> Result<Option<Map<String, Value>>, Problem> {
    let key = keyring
        .key(row.tenant_id, patient)
        .await
        .map_err(StoreError::Keys)?;
    let sealed = SealedParts::from_bytes(row.sealed.clone());
    sealed
        .open(stream_id, key.as_ref())
        .map_err(|error| Problem::internal(&error))
}

/// The open members with the PHI behind them; without it, `"phi": "erased"` says why.
fn with_phi(open: &str, phi: Option<&Map<String, Value>>) -> String {
    let Some(phi) = phi else {
        return splice(open, "\"phi\":\"erased\"");
    };
    let object = serde_json::to_string(phi).unwrap_or_default();
    let members = object
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'))
        .unwrap_or_default();
    let comma = if members.is_empty() { "" } else { "," };
    splice(open, &format!("\"phi\":\"open\"{comma}{members}"))
}

/// A JSON object with further members at its end.
pub(crate) fn splice(object: &str, members: &str) -> String {
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
    use super::*;

    #[test]
    fn phi_lies_behind_the_open_members() {
        let phi = serde_json::json!({"indication": "x", "metadata": {"a": {}}});
        let Value::Object(phi) = phi else {
            panic!("an object")
        };
        let text = with_phi(r#"{"id":1}"#, Some(&phi));
        assert_eq!(
            text,
            r#"{"id":1,"phi":"open","indication":"x","metadata":{"a":{}}}"#
        );
        assert_eq!(with_phi(r#"{"id":1}"#, None), r#"{"id":1,"phi":"erased"}"#);
        assert_eq!(with_phi("{}", Some(&Map::new())), r#"{"phi":"open"}"#);
    }
}
