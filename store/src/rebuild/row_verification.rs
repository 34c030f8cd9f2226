//! Verifies a table: compares each row with its stream, folded from its first event.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::stream_scan::{StreamChunk, StreamScanner};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::GenerationState;
use crate::projection::batch::{FoldMode, FoldedBatch, ProjectedTable, fold_whole};
use crate::read_model::{ParkedStream, Row, Table};
use crate::readers::Scope;

/// Outcome of a verification.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowVerification {
    /// Every row equals the fold of its stream, and there are no other rows.
    Matches,
    /// First difference, without PHI.
    Mismatch(String),
    /// The verification was cancelled, or the generation was dropped.
    Aborted,
}

/// Folded streams to compare.
struct FoldedChunk {
    to: u64,
    ids: Vec<StreamId>,
    folded: FoldedBatch,
}

/// Compares a table that does not change with the log, up to the table's checkpoint. One chunk is compared while the
/// next is folded and the one after that is read.
pub(super) async fn verify(
    engine: &Arc<dyn Engine>,
    member: &ProjectedTable,
    goes_on: impl Fn() -> bool,
) -> Result<RowVerification, EngineError> {
    let verifier = RowVerifier::new(&**engine, member, TableKind::Verifying).await?;
    compare_all(engine, member, verifier, goes_on).await
}

/// Compares a live table with the log; no node may project the table during the comparison.
pub(super) async fn verify_live(
    engine: &Arc<dyn Engine>,
    member: &ProjectedTable,
    goes_on: impl Fn() -> bool,
) -> Result<RowVerification, EngineError> {
    let verifier = RowVerifier::new(&**engine, member, TableKind::Live).await?;
    compare_all(engine, member, verifier, goes_on).await
}

async fn compare_all(
    engine: &Arc<dyn Engine>,
    member: &ProjectedTable,
    mut verifier: RowVerifier<'_>,
    goes_on: impl Fn() -> bool,
) -> Result<RowVerification, EngineError> {
    let kind = member.projection.stream_type();
    let upto = member.checkpoint.position;
    let mut beginnings = StreamScanner::new(engine, kind, 0, upto);
    let mut made = folded(member, beginnings.next().await?).await;
    let mut read = beginnings.next().await?;
    let mut reached = 0;
    while let Some(now) = made {
        if !goes_on() {
            return Ok(RowVerification::Aborted);
        }
        reached = now.to;
        let (verdict, after, next) = tokio::join!(
            verifier.verify_next(now),
            beginnings.next(),
            folded(member, read)
        );
        if let Some(verdict) = verdict? {
            return Ok(verdict);
        }
        (made, read) = (next, after?);
    }
    if reached < upto {
        let ends = format!("log ends at position {reached}, expected at least {upto}");
        return Ok(RowVerification::Mismatch(ends));
    }
    verifier.compare_counts().await
}

async fn folded(member: &ProjectedTable, begun: Option<StreamChunk>) -> Option<FoldedChunk> {
    let StreamChunk { to, streams } = begun?;
    let ids = streams.iter().map(|(id, _)| *id).collect();
    let folded = fold_whole(&*member.projection, member.table, streams, FoldMode::Split).await;
    Some(FoldedChunk {
        to: to.position,
        ids,
        folded,
    })
}

/// Kind of the verified table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableKind {
    /// Generation that is verified before it is read; its state stores the progress.
    Verifying,
    /// Generation that is read.
    Live,
}

struct RowVerifier<'a> {
    engine: &'a dyn Engine,
    member: &'a ProjectedTable,
    making: TableKind,
    /// Parked streams, with the positions from which they are parked.
    parked: HashMap<StreamId, u64>,
    /// Number of streams compared.
    checked: u64,
    /// Number of rows projected from the log, by table.
    expected: Vec<(Table, u64)>,
}

impl<'a> RowVerifier<'a> {
    async fn new(
        engine: &'a dyn Engine,
        member: &'a ProjectedTable,
        making: TableKind,
    ) -> Result<Self, EngineError> {
        let name = member.table.name();
        let parked = engine.parked().await?.into_iter();
        let parked = parked.filter(|parked| parked.model == name);
        let tables = member.projection.tables(member.table.generation);
        Ok(Self {
            engine,
            member,
            making,
            parked: parked
                .map(|parked| (parked.stream_id, parked.position))
                .collect(),
            checked: 0,
            expected: tables.into_iter().map(|table| (table, 0)).collect(),
        })
    }

    /// Compares one chunk. Returns the outcome if the chunk ends the verification.
    async fn verify_next(
        &mut self,
        made: FoldedChunk,
    ) -> Result<Option<RowVerification>, EngineError> {
        if let Some(difference) = self.compare(made).await? {
            return Ok(Some(RowVerification::Mismatch(difference)));
        }
        if self.making == TableKind::Live {
            return Ok(None);
        }
        let verifying = GenerationState::Verifying {
            checked: self.checked,
        };
        let table = self.member.table;
        let is_there = self
            .engine
            .advance_generation(table, &verifying, &verifying)
            .await?;
        Ok((!is_there).then_some(RowVerification::Aborted))
    }

    /// Returns the first difference, if any.
    async fn compare(&mut self, made: FoldedChunk) -> Result<Option<String>, EngineError> {
        let FoldedChunk { ids, folded, .. } = made;
        self.checked += ids.len() as u64;
        if let Some(difference) = self.parked_elsewhere(&ids, &folded.parked) {
            return Ok(Some(difference));
        }
        for ((table, rows), (_, expected)) in folded.rows.into_iter().zip(&mut self.expected) {
            *expected += rows.len() as u64;
            if let Some(difference) = differing(self.engine, table, rows).await? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    fn parked_elsewhere(&self, ids: &[StreamId], stuck: &[ParkedStream]) -> Option<String> {
        let stuck: HashMap<_, _> = stuck
            .iter()
            .map(|parked| (parked.stream_id, parked.position))
            .collect();
        let id = ids.iter().find(|id| stuck.get(id) != self.parked.get(id))?;
        let at = |number: Option<&u64>| number.map_or("nowhere".to_owned(), u64::to_string);
        let stuck = at(stuck.get(id));
        let parked = at(self.parked.get(id));
        Some(format!(
            "stream {id} fails to fold at position {stuck} but is parked at {parked}"
        ))
    }

    /// Checks that there are no streams and rows other than those compared.
    async fn compare_counts(&self) -> Result<RowVerification, EngineError> {
        let kind = self.member.projection.stream_type();
        let upto = self.member.checkpoint.position;
        let streams = self.engine.count_streams(kind, upto).await?;
        if streams != self.checked {
            let checked = self.checked;
            return Ok(RowVerification::Mismatch(format!(
                "log has {checked} streams of type {kind}, stream table has {streams}"
            )));
        }
        for (table, expected) in &self.expected {
            let there = self.engine.count_rows(*table).await?;
            if there != *expected {
                let name = table.name();
                return Ok(RowVerification::Mismatch(format!(
                    "table {name} has {there} rows, expected {expected}"
                )));
            }
        }
        Ok(RowVerification::Matches)
    }
}

async fn differing(
    engine: &dyn Engine,
    table: Table,
    made: Vec<Row>,
) -> Result<Option<String>, EngineError> {
    if made.is_empty() {
        return Ok(None);
    }
    let ids: Vec<Uuid> = made.iter().map(|row| row.id).collect();
    let there = engine
        .read_rows(Scope::AllTenants, table, &ids, usize::MAX)
        .await?
        .into_iter();
    let there: HashMap<Uuid, Row> = there.map(|row| (row.id, row)).collect();
    let differs = made.iter().find(|row| there.get(&row.id) != Some(row));
    Ok(differs.map(|row| {
        format!(
            "row {} of {} differs from the fold of its stream",
            row.id,
            table.name()
        )
    }))
}
