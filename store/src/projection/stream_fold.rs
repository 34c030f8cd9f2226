//! Folds a stream into rows, from its first event.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::batch::progress_row;
use super::{
    FoldResult, MultiFoldResult, MultiRowProjection, Projection, ProjectionKind,
    SingleRowProjection,
};
use crate::log::StoredEvent;
use crate::read_model::{Row, Table};

/// Rows folded from a stream so far.
pub(crate) enum StreamFold<'a> {
    Row {
        table: Table,
        projection: &'a dyn SingleRowProjection,
        row: Option<Row>,
    },
    Rows {
        table: Table,
        projection: &'a dyn MultiRowProjection,
        rows: HashMap<Uuid, Row>,
        last: Option<Arc<StoredEvent>>,
    },
}

impl<'a> StreamFold<'a> {
    pub(crate) fn new(projection: &'a dyn Projection, table: Table) -> Self {
        match projection.kind() {
            ProjectionKind::SingleRow(projection) => Self::Row {
                table,
                projection,
                row: None,
            },
            ProjectionKind::MultiRow(projection) => Self::Rows {
                table,
                projection,
                rows: HashMap::new(),
                last: None,
            },
        }
    }

    /// Folds the next events. Returns the position of the first event that could not be folded, and the reason.
    pub(crate) fn apply(&mut self, events: &[Arc<StoredEvent>]) -> Option<(u64, String)> {
        match self {
            Self::Row {
                projection, row, ..
            } => {
                let folded = projection.fold(row.take(), events);
                let FoldResult { row: after, stuck } = folded;
                *row = after;
                stuck
            }
            Self::Rows {
                projection,
                rows,
                last,
                ..
            } => {
                let touched = projection.changed_rows(events).into_iter();
                let touched = touched.filter_map(|id| Some((id, rows.get(&id)?.clone())));
                let MultiFoldResult {
                    rows: after,
                    folded,
                    stuck,
                } = projection.fold(touched.collect(), events);
                rows.extend(after.into_iter().map(|row| (row.id, row)));
                *last = folded.or(last.take());
                stuck
            }
        }
    }

    /// Returns the rows in the order of [`Projection::tables`].
    pub(crate) fn into_rows(self) -> Vec<(Table, Vec<Row>)> {
        match self {
            Self::Row { table, row, .. } => vec![(table, row.into_iter().collect())],
            Self::Rows {
                table,
                projection,
                rows,
                last,
            } => {
                let progress = Table {
                    model: projection.progress_table(),
                    ..table
                };
                let reached = last.iter().map(|event| progress_row(event)).collect();
                vec![(table, rows.into_values().collect()), (progress, reached)]
            }
        }
    }
}
