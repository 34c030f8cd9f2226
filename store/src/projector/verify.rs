//! Whether a table's rows are what its streams make: each row against its stream, folded from its first event.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::batch::{Member, Streams};
use super::begun::{Beginnings, Begun};
use super::refold::Refolded;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::State;
use crate::log::StoredEvent;
use crate::model::{Row, Table};

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every row is what its stream makes, and there are no others.
    Equal,
    /// The first difference; without PHI.
    Differs(String),
    /// It was broken off, or the generation is forgotten.
    Lost,
}

/// Compares a table that does not move with the log up to its checkpoint. The next streams are read while some are
/// compared.
pub(super) async fn verify(
    engine: &Arc<dyn Engine>,
    member: &Member,
    goes_on: impl Fn() -> bool,
) -> Result<Verdict, EngineError> {
    let mut verifier = Verifier::of(&**engine, member).await?;
    let (kind, upto) = (member.projection.stream_type(), member.checkpoint.position);
    let mut beginnings = Beginnings::of(engine, kind, 0, upto);
    let (mut next, mut reached) = (beginnings.next().await?, 0);
    while let Some(Begun { to, streams }) = next {
        if !goes_on() {
            return Ok(Verdict::Lost);
        }
        reached = to.position;
        let (difference, following) = tokio::join!(verifier.compare(streams), beginnings.next());
        if let Some(difference) = difference? {
            return Ok(Verdict::Differs(difference));
        }
        let verifying = State::Verifying {
            checked: verifier.checked,
        };
        if !engine.promote(member.table, &verifying, &verifying).await? {
            return Ok(Verdict::Lost);
        }
        next = following?;
    }
    if reached < upto {
        let ends = format!("the log ends at {reached}, before position {upto}");
        return Ok(Verdict::Differs(ends));
    }
    verifier.compare_counts().await
}

struct Verifier<'a> {
    engine: &'a dyn Engine,
    member: &'a Member,
    /// What is parked, and from where on.
    parked: HashMap<StreamId, u64>,
    /// How many streams were compared.
    checked: u64,
    /// How many rows the log makes.
    expected: Vec<(Table, u64)>,
}

impl<'a> Verifier<'a> {
    async fn of(engine: &'a dyn Engine, member: &'a Member) -> Result<Self, EngineError> {
        let name = member.table.name();
        let parked = engine.parked().await?.into_iter();
        let parked = parked.filter(|it| it.model == name);
        let tables = member.projection.tables(member.table.generation);
        Ok(Self {
            engine,
            member,
            parked: parked.map(|it| (it.stream_id, it.position)).collect(),
            checked: 0,
            expected: tables.into_iter().map(|it| (it, 0)).collect(),
        })
    }

    /// The first difference, where there is one.
    async fn compare(&mut self, streams: Streams) -> Result<Option<String>, EngineError> {
        self.checked += streams.len() as u64;
        let mut rows: HashMap<String, Vec<Row>> = HashMap::new();
        for (id, events) in streams {
            let mut refolded = Refolded::new(&*self.member.projection, self.member.table);
            let stuck = in_two_goes(&mut refolded, &events);
            let parked = self.parked.get(&id).copied();
            if stuck != parked {
                let at = |it: Option<u64>| it.map_or("nowhere".to_owned(), |it| it.to_string());
                let (stuck, parked) = (at(stuck), at(parked));
                return Ok(Some(format!(
                    "the fold of stream {id} ends at {stuck}, and it is parked at {parked}"
                )));
            }
            for (table, made) in refolded.into_rows() {
                rows.entry(table.name()).or_default().extend(made);
            }
        }
        for (table, expected) in &mut self.expected {
            let made = rows.remove(&table.name()).unwrap_or_default();
            *expected += made.len() as u64;
            if let Some(difference) = differing(self.engine, *table, made).await? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    /// What is there beside what was compared.
    async fn compare_counts(&self) -> Result<Verdict, EngineError> {
        let (kind, upto) = (
            self.member.projection.stream_type(),
            self.member.checkpoint.position,
        );
        let streams = self.engine.count_streams(kind, upto).await?;
        if streams != self.checked {
            let checked = self.checked;
            return Ok(Verdict::Differs(format!(
                "{checked} streams of {kind} begin in the log, and {streams} are known to have"
            )));
        }
        for (table, expected) in &self.expected {
            let there = self.engine.count(*table).await?;
            if there != *expected {
                let name = table.name();
                return Ok(Verdict::Differs(format!(
                    "{name} has {there} rows, and the log makes {expected}"
                )));
            }
        }
        Ok(Verdict::Equal)
    }
}

/// As a projector sees a stream, which seldom comes at one go: a row has to be gone on with as if from the events that made
/// it. Returns the position that it is stuck at.
fn in_two_goes(refolded: &mut Refolded<'_>, events: &[Arc<StoredEvent>]) -> Option<u64> {
    let (first, rest) = events.split_at(events.len() / 2);
    let mut goes = [first, rest].into_iter().filter(|it| !it.is_empty());
    let stuck = goes.find_map(|it| refolded.go_on(it));
    stuck.map(|(position, _)| position)
}

async fn differing(
    engine: &dyn Engine,
    table: Table,
    made: Vec<Row>,
) -> Result<Option<String>, EngineError> {
    if made.is_empty() {
        return Ok(None);
    }
    let ids: Vec<Uuid> = made.iter().map(|it| it.id).collect();
    let there = engine.rows_in(table, &ids).await?.into_iter();
    let there: HashMap<Uuid, Row> = there.map(|it| (it.id, it)).collect();
    let differs = made.iter().find(|it| there.get(&it.id) != Some(it));
    Ok(differs.map(|it| {
        format!(
            "row {} of {} is not what its stream makes",
            it.id,
            table.name()
        )
    }))
}
