//! A release after this one, as far as it matters to read models: some shapes are of the next version, with a column more.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_store::log::StoredEvent;
use roentgen_store::model::{Column, ColumnKind, Model, Row, Value};
use roentgen_store::projector::{Folded, FoldedRows, Folding, FoldsRow, FoldsRows, Projection};
use uuid::Uuid;

/// Names the read models whose shape is the next one, with commas.
pub const NEXT_RELEASE: &str = "ROENTGEN_TEST_NEXT_RELEASE";

/// This release's read models, those that the environment names in their next shape.
pub fn projections() -> Vec<Arc<dyn Projection>> {
    let named = std::env::var(NEXT_RELEASE).unwrap_or_default();
    let all = roentgen_projections::all().into_iter();
    let next = all.map(
        |it| match named.split(',').any(|of| of == it.model().name) {
            true => Arc::new(Next::after(it)) as Arc<dyn Projection>,
            false => it,
        },
    );
    next.collect()
}

#[derive(Debug)]
struct Next {
    before: Arc<dyn Projection>,
    model: &'static Model,
    progress: Option<&'static Model>,
}

impl Next {
    fn after(before: Arc<dyn Projection>) -> Self {
        let progress = match before.folding() {
            Folding::Row(_) => None,
            Folding::Rows(it) => Some(next_shape(it.progress(), Vec::new())),
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

/// A release has its shapes for as long as it runs.
fn next_shape(of: &'static Model, more: Vec<Column>) -> &'static Model {
    let columns = of.columns.iter().map(|it| Column {
        name: it.name,
        kind: it.kind,
    });
    Box::leak(Box::new(Model {
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

impl Projection for Next {
    fn model(&self) -> &'static Model {
        self.model
    }

    fn stream_type(&self) -> &'static str {
        self.before.stream_type()
    }

    fn folding(&self) -> Folding<'_> {
        match self.before.folding() {
            Folding::Row(_) => Folding::Row(self),
            Folding::Rows(_) => Folding::Rows(self),
        }
    }
}

impl FoldsRow for Next {
    fn fold(&self, row: Option<Row>, events: &[Arc<StoredEvent>]) -> Folded {
        let Folding::Row(before) = self.before.folding() else {
            return Folded { row, stuck: None };
        };
        let Folded { row, stuck } = before.fold(row, events);
        Folded {
            row: row.map(next),
            stuck,
        }
    }
}

impl FoldsRows for Next {
    fn progress(&self) -> &'static Model {
        self.progress.unwrap_or(self.model)
    }

    fn changes(&self, events: &[Arc<StoredEvent>]) -> Vec<Uuid> {
        match self.before.folding() {
            Folding::Row(_) => Vec::new(),
            Folding::Rows(before) => before.changes(events),
        }
    }

    fn fold(&self, rows: HashMap<Uuid, Row>, events: &[Arc<StoredEvent>]) -> FoldedRows {
        match self.before.folding() {
            Folding::Row(_) => FoldedRows {
                rows: Vec::new(),
                folded: None,
                stuck: None,
            },
            Folding::Rows(before) => {
                let folded = before.fold(rows, events);
                FoldedRows {
                    rows: folded.rows.into_iter().map(next).collect(),
                    ..folded
                }
            }
        }
    }
}
