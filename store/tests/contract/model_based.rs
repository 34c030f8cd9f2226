//! Random traces of appends compared with a small model: both engines return the outcomes of the model, and therefore
//! the same ones.

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

/// Appends that wait at the same time on one of two nodes.
#[derive(Debug, Clone)]
struct ConcurrentAppends {
    node: usize,
    appends: Vec<PlannedAppend>,
}

/// Append whose streams' versions are not yet known.
#[derive(Debug, Clone)]
struct PlannedAppend {
    /// Writes by stream; `None` leaves the stream out.
    parts: [Option<PlannedWrite>; STREAMS],
    /// Whether events of several streams alternate or follow stream by stream.
    in_turn: bool,
    /// By key: whether the reservation is already expired; `None` leaves the key out.
    claims: [Option<bool>; KEYS],
}

#[derive(Debug, Clone, Copy)]
struct PlannedWrite {
    /// Number of events; 0 has only an expected version.
    events: u64,
    /// Difference between the expected version and the actual one; mostly 0.
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

/// Model of the log that applies one append after the other.
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

/// Ids of one trace, so that traces can share a database.
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

    /// Builds the append from the plan, with the versions of the model.
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

    /// Returns the trace's appends by step, with the outcomes of the model.
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

/// Runs the steps and compares. Conflicting appends keep the order in which they were queued, so the outcomes of a step
/// equal the model's. Appends without a conflict may overtake each other, so the positions of a step are only checked
/// as a set: without a gap, each used once.
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
