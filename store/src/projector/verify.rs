//! Whether a table's rows are what its streams make: each row against its stream, folded at one go.

use std::collections::HashMap;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use super::batch::Member;
use super::refold::Refolded;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::generation::State;
use crate::log::StoredEvent;
use crate::model::{Row, Table};

/// Streams that are asked for at once.
const STREAMS: u32 = 1000;
/// Events that are held in memory at once, but for those of one stream.
const EVENTS: u64 = 2000;

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

/// Compares a table that does not move with the log up to its checkpoint.
pub(super) async fn verify(
    engine: &dyn Engine,
    member: &Member,
    goes_on: impl Fn() -> bool,
) -> Result<Verdict, EngineError> {
    let mut verifier = Verifier::of(engine, member).await?;
    let (kind, upto) = (member.projection.stream_type(), member.checkpoint.position);
    let (mut after, mut checked) = (StreamId::from(Uuid::nil()), 0);
    while goes_on() {
        let streams = engine.streams_of(kind, after, upto, STREAMS).await?;
        let Some((last, _)) = streams.last() else {
            return verifier.compare_counts().await;
        };
        after = *last;
        checked += streams.len() as u64;
        for some in in_portions(&streams) {
            if let Some(difference) = verifier.compare(&some).await? {
                return Ok(Verdict::Differs(difference));
            }
        }
        let verifying = State::Verifying { checked };
        if !engine.promote(member.table, &verifying, &verifying).await? {
            return Ok(Verdict::Lost);
        }
    }
    Ok(Verdict::Lost)
}

/// Streams whose events are few enough to be held together.
fn in_portions(streams: &[(StreamId, u64)]) -> Vec<Vec<StreamId>> {
    let mut portions: Vec<Vec<StreamId>> = Vec::new();
    let mut room = 0;
    for (id, version) in streams {
        match portions.last_mut().filter(|_| *version <= room) {
            Some(portion) => portion.push(*id),
            None => {
                portions.push(vec![*id]);
                room = EVENTS;
            }
        }
        room = room.saturating_sub(*version);
    }
    portions
}

struct Verifier<'a> {
    engine: &'a dyn Engine,
    member: &'a Member,
    /// What is parked, and from where on.
    parked: HashMap<StreamId, u64>,
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
            expected: tables.into_iter().map(|it| (it, 0)).collect(),
        })
    }

    /// The first difference, where there is one.
    async fn compare(&mut self, streams: &[StreamId]) -> Result<Option<String>, EngineError> {
        let upto = self.member.checkpoint.position;
        let mut histories: HashMap<StreamId, Vec<Arc<StoredEvent>>> = HashMap::new();
        for event in self.engine.histories(streams, upto).await? {
            let history = histories.entry(event.stream_id).or_default();
            history.push(Arc::new(event));
        }
        let mut rows: HashMap<String, Vec<Row>> = HashMap::new();
        for (id, events) in histories {
            let mut refolded = Refolded::new(&*self.member.projection, self.member.table);
            let stuck = refolded.go_on(&events).map(|(position, _)| position);
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

    /// What is there beside the rows that were compared.
    async fn compare_counts(&self) -> Result<Verdict, EngineError> {
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
