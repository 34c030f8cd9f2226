//! Whether a table's rows are what its streams make: each row against its stream, folded from its first event.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::batch::{FoldMode, FoldedBatch, ProjectedTable, fold_whole};
use super::begun::{StreamChunk, StreamScanner};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::GenerationState;
use crate::read_model::{ParkedStream, Row, Table};
use crate::reads::Scope;

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowVerification {
    /// Every row is what its stream makes, and there are no others.
    Matches,
    /// The first difference; without PHI.
    Mismatch(String),
    /// It was broken off, or the generation is forgotten.
    Aborted,
}

/// Streams that are to be compared, folded.
struct FoldedChunk {
    to: u64,
    ids: Vec<StreamId>,
    folded: FoldedBatch,
}

/// Compares a table that does not move with the log up to its checkpoint. While some streams are compared the next are
/// folded, and those after them read.
pub(super) async fn verify(
    engine: &Arc<dyn Engine>,
    member: &ProjectedTable,
    goes_on: impl Fn() -> bool,
) -> Result<RowVerification, EngineError> {
    let verifier = RowVerifier::new(&**engine, member, TableKind::Verifying).await?;
    compare_all(engine, member, verifier, goes_on).await
}

/// The same of a table that is read, which nobody projects meanwhile.
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

/// What the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableKind {
    /// A generation that is verified before it is read; how far that is, is kept with it.
    Verifying,
    /// A generation that is read.
    Live,
}

struct RowVerifier<'a> {
    engine: &'a dyn Engine,
    member: &'a ProjectedTable,
    making: TableKind,
    /// What is parked, and from where on.
    parked: HashMap<StreamId, u64>,
    /// How many streams were compared.
    checked: u64,
    /// How many rows the log makes.
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

    /// The verdict, where these streams have the last word.
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

    /// The first difference, where there is one.
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

    /// What is there beside what was compared.
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
