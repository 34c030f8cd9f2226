//! Read models with one row per resource: the document has the resource without PHI, and the sealed PHI is stored with
//! it.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use roentgen_domain::{Aggregate, Versioned};
use roentgen_store::codec;
use roentgen_store::keys::SealedPhi;
use roentgen_store::log::StoredEvent;
use roentgen_store::projection::{FoldResult, Projection, ProjectionKind, SingleRowProjection};
use roentgen_store::read_model::{ReadModel, Row, Value};
use serde::Serialize;

/// Mapping of a resource to a row.
pub trait ResourceView: Debug + Default + Send + Sync + 'static {
    /// Aggregate of the resource.
    type Aggregate: Aggregate;

    /// Table of the rows.
    const MODEL: &'static ReadModel;

    /// Returns the sort key of the row.
    fn sort_key(resource: &Versioned<Self::Aggregate>) -> Vec<u8>;

    /// Returns the filter columns, in the order of the read model.
    fn column_values(resource: &Versioned<Self::Aggregate>) -> Vec<Value>;
}

/// Projection of a [`ResourceView`].
#[derive(Debug, Default)]
pub struct ResourceProjection<V>(PhantomData<V>);

impl<V: ResourceView> Projection for ResourceProjection<V> {
    fn model(&self) -> &'static ReadModel {
        V::MODEL
    }

    fn stream_type(&self) -> &'static str {
        V::Aggregate::STREAM_TYPE
    }

    fn kind(&self) -> ProjectionKind<'_> {
        ProjectionKind::SingleRow(self)
    }
}

impl<V: ResourceView> SingleRowProjection for ResourceProjection<V> {
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> FoldResult {
        let (mut resource, mut sealed) = match from_row::<V>(row.as_ref()) {
            Ok(opened) => opened,
            Err(reason) => return stuck_at_first(row, events, reason),
        };
        for (n, event) in events.iter().enumerate() {
            match codec::evolve::<V::Aggregate>(resource.take(), event, None) {
                Ok(next) => {
                    sealed.push(event.version, &event.sealed);
                    resource = Some(next);
                }
                // The events before this one are folded again, because a copy of the state before each event would be
                // too expensive.
                Err(error) => {
                    let before = self.fold(row, events.get(..n).unwrap_or_default());
                    let stuck = Some((event.position, error.to_string()));
                    return FoldResult { stuck, ..before };
                }
            }
        }
        match resource
            .map(|resource| to_row::<V>(&resource, sealed))
            .transpose()
        {
            Ok(row) => FoldResult { row, stuck: None },
            Err(reason) => stuck_at_first(row, events, reason),
        }
    }
}

fn stuck_at_first(row: Option<Row>, events: &[Arc<StoredEvent>], reason: String) -> FoldResult {
    let position = events.first().map_or(0, |event| event.position);
    let stuck = Some((position, reason));
    FoldResult { row, stuck }
}

type FoldState<A> = (Option<Versioned<A>>, SealedPhi);

fn from_row<V: ResourceView>(row: Option<&Row>) -> Result<FoldState<V::Aggregate>, String> {
    let Some(row) = row else {
        return Ok((None, SealedPhi::default()));
    };
    let resource = serde_json::from_str(&row.document)
        .map_err(|error| format!("malformed row document (column {})", error.column()))?;
    Ok((Some(resource), SealedPhi::from_bytes(row.sealed.clone())))
}

/// Returns the sealed PHI to store: the parts that are still visible, or none if the resource has no patient, because
/// then the PHI is not part of the resource.
pub fn retained_phi<A: Aggregate>(resource: &Versioned<A>, sealed: SealedPhi) -> Vec<u8> {
    match resource.state.patient_id() {
        Some(_) => sealed.compacted(&resource.state.shown_parts()).into_bytes(),
        None => Vec::new(),
    }
}

/// Returns the document of a row, or the error if the resource cannot be serialised: an empty document would lose data.
pub(crate) fn row_document(resource: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(resource).map_err(|_| "document cannot be serialised".to_owned())
}

/// Returns the row of a resource, or the error if the resource cannot be serialised.
fn to_row<V: ResourceView>(
    resource: &Versioned<V::Aggregate>,
    sealed: SealedPhi,
) -> Result<Row, String> {
    Ok(Row {
        id: resource.id.as_uuid(),
        tenant_id: resource.tenant_id,
        patient_id: resource.state.patient_id(),
        version: resource.version,
        sort_key: V::sort_key(resource),
        values: V::column_values(resource),
        document: row_document(resource)?,
        sealed: retained_phi(resource, sealed),
    })
}
