//! Read model of instances, by instance number: several rows per study stream, each written once.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{SeriesId, TenantId};
use roentgen_domain::study::{Instance, InstancesAdded};
use roentgen_store::log::StoredEvent;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};
use uuid::Uuid;

use crate::child_projection::{ChildRows, ChildView, FoldError};
use crate::sort_key;

/// Table `instances_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "instances",
    version: 2,
    columns: &[Column {
        name: "imaging_series_id",
        kind: ColumnKind::Uuid,
    }],
    indexes: &[
        Index {
            columns: &["imaging_series_id"],
            sparse: false,
        },
        Index {
            columns: &[],
            sparse: false,
        },
    ],
};

/// Table `instances_streams_v2`.
static PROGRESS: ReadModel = ReadModel {
    name: "instances_streams",
    version: 2,
    columns: &[],
    indexes: &[],
};

/// Projection of the instances of studies.
#[derive(Debug, Default)]
pub struct Instances;

const ADDED: &str = "ImagingStudy.InstancesAdded";

impl ChildView for Instances {
    type Part = Instance;

    const MODEL: &'static ReadModel = &MODEL;
    const PROGRESS: &'static ReadModel = &PROGRESS;
    const STREAM_TYPE: &'static str = "ImagingStudy";

    fn changes(_event: &StoredEvent) -> Result<Vec<Uuid>, FoldError> {
        Ok(Vec::new())
    }

    fn apply(event: &StoredEvent, parts: &mut ChildRows<Instance>) -> Result<(), FoldError> {
        if &*event.event_type != ADDED {
            return Ok(());
        }
        let added: InstancesAdded = serde_json::from_str(&event.payload)?;
        for series in added.series {
            for new in series.instances {
                let id = new.instance_id.as_uuid();
                let instance = Instance {
                    imaging_series_id: series.series_id,
                    imaging_study_id: added.study_id,
                    facts: new.facts(),
                };
                parts.add(id, event, instance)?;
            }
        }
        Ok(())
    }

    fn sort_key(part: &Versioned<Instance>) -> Vec<u8> {
        sort_key::by_number(part.state.facts.instance_number, part.id.as_uuid())
    }

    fn values(part: &Versioned<Instance>) -> Vec<Value> {
        vec![Value::Uuid(part.state.imaging_series_id.as_uuid())]
    }
}

/// Returns the query for a page of instances, of one series or of all.
pub fn page(
    tenant_id: TenantId,
    series: Option<SeriesId>,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let of_series = series.map(|id| ("imaging_series_id", Value::Uuid(id.as_uuid())));
    ListQuery {
        prefixes: vec![of_series.into_iter().collect()],
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
