//! Any trace of appends, against a model that a page can hold: both engines give its verdicts, and so each other's.

use std::collections::HashMap;

use futures_util::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use roentgen_domain::ids::StreamId;
use roentgen_store::clock::now_ms;
use roentgen_store::error::StoreError;
use roentgen_store::log::{Append, AppendReceipt, HeldReservation, Reservation, ReservationKey};

use crate::builders::{check, event, held_by, key, stream};
use crate::harness::{ContractDatabase, ContractNode, EngineKind, verified_log};

const CASES: u32 = 24;
const STREAMS: usize = 5;
const KEYS: usize = 4;

/// Appends that wait together on one of two nodes.
#[derive(Debug, Clone)]
struct ConcurrentAppends {
    node: usize,
    appends: Vec<PlannedAppend>,
}

/// An append, before it is known where its streams are.
#[derive(Debug, Clone)]
struct PlannedAppend {
    /// By stream; `None` leaves it out.
    parts: [Option<PlannedWrite>; STREAMS],
    /// Events of several streams in turn, or stream by stream.
    in_turn: bool,
    /// By key: whether it has run out before it is taken; `None` leaves it out.
    claims: [Option<bool>; KEYS],
}

#[derive(Debug, Clone, Copy)]
struct PlannedWrite {
    /// 0 asserts only.
    events: u64,
    /// How far beside the truth the expected version is; mostly 0.
    off: i64,
}

fn part() -> impl Strategy<Value = Option<PlannedWrite>> {
    let off = prop_oneof![12 => Just(0), 1 => Just(-1), 1 => Just(1), 1 => Just(5)];
    let some = (0_u64..4, off).prop_map(|(events, off)| Some(PlannedWrite { events, off }));
    prop_oneof![3 => Just(None), 2 => some]
}

fn plan() -> impl Strategy<Value = PlannedAppend> {
    let claim = prop_oneof![5 => Just(None), 1 => Just(Some(false)), 1 => Just(Some(true))];
    let parts = proptest::array::uniform5(part());
    let claims = proptest::array::uniform4(claim);
    (parts, any::<bool>(), claims).prop_map(|(parts, in_turn, claims)| PlannedAppend {
        parts,
        in_turn,
        claims,
    })
}

fn trace() -> impl Strategy<Value = Vec<ConcurrentAppends>> {
    let step = (0_usize..2, vec(plan(), 1..8))
        .prop_map(|(node, appends)| ConcurrentAppends { node, appends });
    vec(step, 1..12)
}

/// What the log should do, one append after the other.
#[derive(Debug, Default)]
struct LogModel {
    versions: HashMap<StreamId, u64>,
    claims: HashMap<ReservationKey, HeldReservation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Written,
    Conflict { stream_id: StreamId, actual: u64 },
    Claimed(HeldReservation),
}

impl LogModel {
    fn version(&self, stream_id: StreamId) -> u64 {
        self.versions.get(&stream_id).copied().unwrap_or(0)
    }

    fn append(&mut self, append: &Append, now_ms: i64) -> Verdict {
        let held = append
            .claims
            .iter()
            .filter_map(|reservation| self.claims.get(&reservation.key));
        if let Some(held) = held.copied().find(|held| held.expires_at_ms > now_ms) {
            return Verdict::Claimed(held);
        }
        let wrong = append
            .checks
            .iter()
            .find(|version| self.version(version.stream_id) != version.expected);
        if let Some(version) = wrong {
            let stream_id = version.stream_id;
            let actual = self.version(version.stream_id);
            return Verdict::Conflict { stream_id, actual };
        }
        for event in &append.events {
            self.versions.insert(event.stream_id, event.version);
        }
        self.claims.extend(
            append
                .claims
                .iter()
                .map(|reservation| (reservation.key, reservation.held)),
        );
        Verdict::Written
    }
}

/// Ids are one trace's own, so that traces can share a database.
struct Names {
    streams: [StreamId; STREAMS],
    keys: [ReservationKey; KEYS],
    now_ms: i64,
}

impl Names {
    fn fresh() -> Self {
        Self {
            streams: std::array::from_fn(|_| stream()),
            keys: std::array::from_fn(|_| key()),
            now_ms: now_ms(),
        }
    }

    /// The plan as an append, for the streams as the model has them.
    fn append(&self, plan: &PlannedAppend, model: &LogModel) -> Append {
        let mut append = Append::default();
        for (stream_id, part) in self.streams.into_iter().zip(plan.parts) {
            let Some(part) = part else { continue };
            let expected = model.version(stream_id).saturating_add_signed(part.off);
            append.checks.push(check(stream_id, expected));
            let events = (1..=part.events).map(|n| event(stream_id, expected + n));
            append.events.extend(events);
        }
        if plan.in_turn {
            append.events.sort_by_key(|event| event.version);
        }
        for (key, claim) in self.keys.into_iter().zip(plan.claims) {
            let Some(ran_out) = claim else { continue };
            let held = held_by(self.streams[0]);
            let expires_at_ms = if ran_out {
                self.now_ms - 1
            } else {
                held.expires_at_ms
            };
            let held = HeldReservation {
                expires_at_ms,
                ..held
            };
            append.claims.push(Reservation { key, held });
        }
        append
    }

    /// The trace's appends, by step, with the model's verdicts.
    fn play(&self, trace: &[ConcurrentAppends]) -> Vec<(usize, Vec<(Append, Verdict)>)> {
        let mut model = LogModel::default();
        let mut planned = |plan: &PlannedAppend| {
            let append = self.append(plan, &model);
            let verdict = model.append(&append, self.now_ms);
            (append, verdict)
        };
        let steps = trace.iter();
        steps
            .map(|appends| {
                (
                    appends.node,
                    appends.appends.iter().map(&mut planned).collect(),
                )
            })
            .collect()
    }
}

fn verdict(answer: &Result<AppendReceipt, StoreError>) -> Verdict {
    match answer {
        Ok(_) => Verdict::Written,
        Err(StoreError::Conflict { stream_id, actual }) => Verdict::Conflict {
            stream_id: *stream_id,
            actual: *actual,
        },
        Err(StoreError::KeyTaken(held)) => Verdict::Claimed(*held),
        Err(other) => panic!("{other:?}"),
    }
}

/// Appends that clash go one after the other in the order in which they came, so that the verdicts of a step are the
/// model's; those that do not clash may overtake each other, so that the positions of a step are its alone, without a
/// hole and each taken once.
async fn agree(nodes: &[ContractNode; 2], steps: &[(usize, Vec<(Append, Verdict)>)]) {
    let mut told = HashMap::new();
    for (node, appends) in steps {
        let before = nodes[*node].position().await;
        let answers = join_all(
            appends
                .iter()
                .map(|append| nodes[*node].append(append.0.clone())),
        )
        .await;
        let mut after = before;
        for ((append, expected), answer) in appends.iter().zip(&answers) {
            assert_eq!(verdict(answer), *expected);
            let Ok(appended) = answer else { continue };
            let count = append.events.len() as u64;
            after += count;
            let first = appended.position + 1 - count;
            for (position, event) in (first..).zip(&append.events) {
                assert_eq!(
                    told.insert(position, event.clone())
                        .map(|event| event.event_id),
                    None
                );
            }
        }
        assert_eq!(nodes[1 - *node].position().await, after);
        assert!(
            (before + 1..=after).all(|number| told.contains_key(&number)),
            "{before} to {after}"
        );
    }
    for (position, event) in told {
        let stands = nodes[0].engine.event_at(position).await.unwrap().unwrap();
        assert_eq!(stands.event_id, event.event_id);
        assert_eq!(
            (stands.stream_id, stands.version),
            (event.stream_id, event.version)
        );
        assert_eq!(stands.payload, event.payload);
    }
}

async fn two_nodes(bed: &ContractDatabase) -> [ContractNode; 2] {
    [bed.node().await, bed.node().await]
}

#[test]
fn both_engines_agree_with_the_model_on_any_trace() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let beds = [EngineKind::Sqlite, EngineKind::Postgres]
        .map(|kind| runtime.block_on(ContractDatabase::new(kind)));
    let nodes = beds.each_ref().map(|bed| runtime.block_on(two_nodes(bed)));
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&trace(), |trace| {
        let steps = Names::fresh().play(&trace);
        for nodes in &nodes {
            runtime.block_on(agree(nodes, &steps));
        }
        Ok(())
    });
    checked.unwrap();
    for [node, _] in &nodes {
        runtime.block_on(verified_log(&*node.engine));
    }
}
