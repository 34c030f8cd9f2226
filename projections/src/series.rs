//! Read model of the series of studies, by series number: several rows per study stream.

use roentgen_domain::Versioned;
use roentgen_domain::ids::{SeriesId, StudyId, TenantId};
use roentgen_domain::study::{Series, SeriesAdded, SeriesChange};
use roentgen_store::log::StoredEvent;
use roentgen_store::read_model::{Column, ColumnKind, Index, ListQuery, ReadModel, Value};
use serde::Deserialize;
use uuid::Uuid;

use crate::child_projection::{ChildRows, ChildView, FoldError};
use crate::sort_key;

/// Table `series_v2`.
pub static MODEL: ReadModel = ReadModel {
    name: "series",
    version: 2,
    columns: &[Column {
        name: "imaging_study_id",
        kind: ColumnKind::Uuid,
    }],
    indexes: &[
        Index {
            columns: &["imaging_study_id"],
            sparse: false,
        },
        Index {
            columns: &[],
            sparse: false,
        },
    ],
};

/// Table `series_streams_v2`.
static PROGRESS: ReadModel = ReadModel {
    name: "series_streams",
    version: 2,
    columns: &[],
    indexes: &[],
};

/// Projection of the series of studies.
#[derive(Debug, Default)]
pub struct StudySeries;

/// Members of `ImagingStudy.Updated` that the rows use.
#[derive(Deserialize)]
struct UpdatedSeriesFields {
    #[serde(default)]
    series: Vec<SeriesChange>,
}

/// Members of `ImagingStudy.InstancesAdded` that the rows use. The instances are not parsed.
#[derive(Deserialize)]
struct AddedInstanceTotals {
    series: Vec<SeriesInstanceTotal>,
}

#[derive(Deserialize)]
struct SeriesInstanceTotal {
    series_id: SeriesId,
    number_of_instances: u32,
}

const ADDED: &str = "ImagingStudy.SeriesAdded";
const CHANGED: &str = "ImagingStudy.Updated";
const GROWN: &str = "ImagingStudy.InstancesAdded";

impl ChildView for StudySeries {
    type Part = Series;

    const MODEL: &'static ReadModel = &MODEL;
    const PROGRESS: &'static ReadModel = &PROGRESS;
    const STREAM_TYPE: &'static str = "ImagingStudy";

    fn changes(event: &StoredEvent) -> Result<Vec<Uuid>, FoldError> {
        let ids: Vec<SeriesId> = match &*event.event_type {
            CHANGED => {
                let changed: UpdatedSeriesFields = serde_json::from_str(&event.payload)?;
                changed
                    .series
                    .iter()
                    .map(|change| change.series_id)
                    .collect()
            }
            GROWN => {
                let grown: AddedInstanceTotals = serde_json::from_str(&event.payload)?;
                grown.series.iter().map(|total| total.series_id).collect()
            }
            _ => Vec::new(),
        };
        Ok(ids.into_iter().map(SeriesId::as_uuid).collect())
    }

    fn apply(event: &StoredEvent, parts: &mut ChildRows<Series>) -> Result<(), FoldError> {
        match &*event.event_type {
            ADDED => add(event, parts),
            CHANGED => {
                let changed: UpdatedSeriesFields = serde_json::from_str(&event.payload)?;
                changed.series.iter().try_for_each(|change| {
                    let id = change.series_id.as_uuid();
                    parts.change(id, event, |series| change.apply(&mut series.facts))
                })
            }
            GROWN => {
                let grown: AddedInstanceTotals = serde_json::from_str(&event.payload)?;
                grown.series.iter().try_for_each(|total| {
                    parts.change(total.series_id.as_uuid(), event, |series| {
                        series.facts.number_of_instances = Some(total.number_of_instances);
                    })
                })
            }
            _ => Ok(()),
        }
    }

    fn sort_key(part: &Versioned<Series>) -> Vec<u8> {
        sort_key::by_number(part.state.facts.series_number, part.id.as_uuid())
    }

    fn values(part: &Versioned<Series>) -> Vec<Value> {
        vec![Value::Uuid(part.state.imaging_study_id.as_uuid())]
    }
}

fn add(event: &StoredEvent, parts: &mut ChildRows<Series>) -> Result<(), FoldError> {
    let added: SeriesAdded = serde_json::from_str(&event.payload)?;
    added.series.into_iter().try_for_each(|value| {
        let series = Series {
            imaging_study_id: added.study_id,
            facts: value.facts,
        };
        parts.add(value.series_id.as_uuid(), event, series)
    })
}

/// Returns the query for a page of series, of one study or of all.
pub fn page(
    tenant_id: TenantId,
    study: Option<StudyId>,
    after: Option<Vec<u8>>,
    limit: u32,
) -> ListQuery {
    let of_study = study.map(|id| ("imaging_study_id", Value::Uuid(id.as_uuid())));
    ListQuery {
        prefixes: vec![of_study.into_iter().collect()],
        ..ListQuery::all(&MODEL, tenant_id, after, limit)
    }
}
