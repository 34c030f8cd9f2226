//! A simulated next release: some read models have the next schema version, with one more column.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_store::log::StoredEvent;
use roentgen_store::projection::{
    FoldResult, MultiFoldResult, MultiRowProjection, Projection, ProjectionKind,
    SingleRowProjection,
};
use roentgen_store::read_model::{Column, ColumnKind, ReadModel, Row, Value};
use uuid::Uuid;

/// Environment variable with the comma-separated names of the read models that have the next schema.
pub const NEXT_RELEASE: &str = "ROENTGEN_TEST_NEXT_RELEASE";

/// Returns this release's read models; those named in the environment have the next schema.
pub fn projections() -> Vec<Arc<dyn Projection>> {
    let named = std::env::var(NEXT_RELEASE).unwrap_or_default();
    let all = roentgen_projections::all().into_iter();
    let next = all.map(|projection| {
        if named.split(',').any(|of| of == projection.model().name) {
            Arc::new(NextReleaseProjection::after(projection)) as Arc<dyn Projection>
        } else {
            projection
        }
    });
    next.collect()
}

#[derive(Debug)]
struct NextReleaseProjection {
    before: Arc<dyn Projection>,
    model: &'static ReadModel,
    progress: Option<&'static ReadModel>,
}

impl NextReleaseProjection {
    fn after(before: Arc<dyn Projection>) -> Self {
        let progress = match before.kind() {
            ProjectionKind::SingleRow(_) => None,
            ProjectionKind::MultiRow(projection) => {
                Some(next_shape(projection.progress_table(), Vec::new()))
            }
        };
        let release = Column {
            name: "release",
            kind: ColumnKind::Text,
        };
        Self {
            model: next_shape(before.model(), vec![release]),
            progress,
            before,
        }
    }
}

/// Returns the next schema, allocated for the lifetime of the process as in a release.
fn next_shape(of: &'static ReadModel, more: Vec<Column>) -> &'static ReadModel {
    let columns = of.columns.iter().map(|column| Column {
        name: column.name,
        kind: column.kind,
    });
    Box::leak(Box::new(ReadModel {
        name: of.name,
        version: of.version + 1,
        columns: Vec::leak(columns.chain(more).collect()),
        indexes: of.indexes,
    }))
}

fn next(mut row: Row) -> Row {
    row.values.push(Value::text(Some("next")));
    row
}

impl Projection for NextReleaseProjection {
    fn model(&self) -> &'static ReadModel {
        self.model
    }

    fn stream_type(&self) -> &'static str {
        self.before.stream_type()
    }

    fn kind(&self) -> ProjectionKind<'_> {
        match self.before.kind() {
            ProjectionKind::SingleRow(_) => ProjectionKind::SingleRow(self),
            ProjectionKind::MultiRow(_) => ProjectionKind::MultiRow(self),
        }
    }
}

impl SingleRowProjection for NextReleaseProjection {
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> FoldResult {
        let ProjectionKind::SingleRow(before) = self.before.kind() else {
            return FoldResult { row, stuck: None };
        };
        let FoldResult { row, stuck } = before.fold(row, events);
        FoldResult {
            row: row.map(next),
            stuck,
        }
    }
}

impl MultiRowProjection for NextReleaseProjection {
    fn progress_table(&self) -> &'static ReadModel {
        self.progress.unwrap_or(self.model)
    }

    fn changed_rows(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid> {
        match self.before.kind() {
            ProjectionKind::SingleRow(_) => Vec::new(),
            ProjectionKind::MultiRow(before) => before.changed_rows(events),
        }
    }

    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> MultiFoldResult {
        match self.before.kind() {
            ProjectionKind::SingleRow(_) => MultiFoldResult {
                rows: Vec::new(),
                folded: None,
                stuck: None,
            },
            ProjectionKind::MultiRow(before) => {
                let folded = before.fold(rows, events);
                MultiFoldResult {
                    rows: folded.rows.into_iter().map(next).collect(),
                    ..folded
                }
            }
        }
    }
}
