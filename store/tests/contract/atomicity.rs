//! Appends are atomic.

use std::sync::Arc;

use roentgen_domain::ids::PatientId;
use roentgen_store::error::{EngineError, StoreError};
use roentgen_store::log::{Append, MAX_EVENT_BYTES, ReservationKey, WrappedKey};
use roentgen_store::readers::Scope;

use crate::builders::{
    append_to_each, check, claim, event, key, key_of, patient, stream, tenant, to, unstorable_event,
};
use crate::fault_injection::FaultyEngine;
use crate::harness::{Contents, ContractDatabase, ContractNode, EngineKind, verified_log};

on_both_engines!(
    whatever_fails_nothing_of_the_append_is_there,
    a_poisoned_append_fails_alone,
    what_is_no_append_is_refused,
);

/// Log with a stream at version 2, a reserved key and a patient who has a key.
struct AtomicityFixture {
    node: ContractNode,
    known: roentgen_domain::ids::StreamId,
    taken: ReservationKey,
    keyed: PatientId,
}

impl AtomicityFixture {
    async fn on(bed: &ContractDatabase) -> Self {
        let scene = Self {
            node: bed.node().await,
            known: stream(),
            taken: key(),
            keyed: patient(),
        };
        let start = Append {
            claims: vec![claim(scene.taken, scene.known)],
            patient_keys: vec![key_of(scene.keyed)],
            ..to(scene.known, 0, 2)
        };
        scene.node.append(start).await.unwrap();
        scene
    }

    /// Returns an append to three streams, one of them existing, with an expected version, two reservations and a new
    /// patient's key.
    fn large(&self) -> Append {
        let mut append = append_to_each(&[(stream(), 0), (self.known, 2), (stream(), 0)]);
        append.checks.push(check(stream(), 0));
        append.claims = vec![claim(key(), self.known), claim(key(), self.known)];
        append.patient_keys = vec![key_of(patient())];
        append
    }

    async fn has_key(&self, append: &Append) -> Option<WrappedKey> {
        let patients = [(tenant(), append.patient_keys[0].patient_id)];
        self.node
            .engine
            .patient_keys(&patients)
            .await
            .unwrap()
            .remove(0)
            .key
    }
}

fn log_of(contents: Contents) -> Contents {
    Contents {
        patient_keys: Vec::new(),
        ..contents
    }
}

#[derive(Debug, Clone, Copy)]
enum AppendFault {
    TheKnownStreamIsFurther,
    ANewStreamIsNotThatFar,
    AnAssertionDoesNotHold,
    TheSecondClaimIsTaken,
    AnotherPatientHasAKey,
    TheLastEventIsTooLarge,
    TheLastEventIsNoJson,
    TheLastMetadataIsNoJson,
}

impl AppendFault {
    const ALL: [Self; 8] = [
        Self::TheKnownStreamIsFurther,
        Self::ANewStreamIsNotThatFar,
        Self::AnAssertionDoesNotHold,
        Self::TheSecondClaimIsTaken,
        Self::AnotherPatientHasAKey,
        Self::TheLastEventIsTooLarge,
        Self::TheLastEventIsNoJson,
        Self::TheLastMetadataIsNoJson,
    ];

    fn spoil(self, append: &mut Append, scene: &AtomicityFixture) {
        let last = &mut append.events[2];
        match self {
            Self::TheKnownStreamIsFurther => {
                append.checks[1].expected = 1;
                append.events[1].version = 2;
            }
            Self::ANewStreamIsNotThatFar => {
                append.checks[2].expected = 4;
                last.version = 5;
            }
            Self::AnAssertionDoesNotHold => append.checks[3].expected = 1,
            Self::TheSecondClaimIsTaken => append.claims[1].key = scene.taken,
            Self::AnotherPatientHasAKey => append.patient_keys.push(key_of(scene.keyed)),
            Self::TheLastEventIsTooLarge => {
                last.payload = format!("\"{}\"", "x".repeat(MAX_EVENT_BYTES));
            }
            Self::TheLastEventIsNoJson => *last = unstorable_event(last.stream_id, 1),
            Self::TheLastMetadataIsNoJson => last.metadata = "{".to_owned(),
        }
    }

    /// Returns whether the appender returns this error for the fault.
    fn is_told_by(self, error: &StoreError) -> bool {
        match self {
            Self::TheKnownStreamIsFurther => {
                matches!(error, StoreError::Conflict { actual: 2, .. })
            }
            Self::ANewStreamIsNotThatFar | Self::AnAssertionDoesNotHold => {
                matches!(error, StoreError::Conflict { actual: 0, .. })
            }
            Self::TheSecondClaimIsTaken => matches!(error, StoreError::KeyTaken(_)),
            Self::AnotherPatientHasAKey => matches!(error, StoreError::PatientKeyExists),
            Self::TheLastEventIsTooLarge => matches!(error, StoreError::EventTooLarge { .. }),
            Self::TheLastEventIsNoJson | Self::TheLastMetadataIsNoJson => {
                matches!(error, StoreError::Engine(EngineError::Rejected(_)))
            }
        }
    }
}

/// Tries each fault in turn. Only a patient key may remain, on SQLite: keys are in a separate file, which is written
/// first so that no event is sealed under a key lost in a crash. The patient's next event uses the key.
async fn whatever_fails_nothing_of_the_append_is_there(bed: &ContractDatabase) {
    let scene = AtomicityFixture::on(bed).await;
    for fault in AppendFault::ALL {
        let before = bed.contents().await;
        let mut append = scene.large();
        fault.spoil(&mut append, &scene);
        let error = scene.node.append(append.clone()).await.unwrap_err();
        assert!(fault.is_told_by(&error), "{fault:?}: {error:?}");
        let after = bed.contents().await;
        if bed.kind == EngineKind::Postgres {
            assert_eq!(after, before, "{fault:?}");
        } else {
            assert_eq!(log_of(after), log_of(before), "{fault:?}");
        }
        if let Some(kept) = scene.has_key(&append).await {
            assert_eq!(kept, append.patient_keys[0].wrapped, "{fault:?}");
            let next = Append {
                patient_keys: vec![append.patient_keys[0].clone()],
                ..to(stream(), 0, 1)
            };
            scene.node.append(next).await.unwrap();
        }
    }
    let before = bed.contents().await;
    let good = scene.large();
    scene.node.append(good.clone()).await.unwrap();
    let after = bed.contents().await;
    assert_eq!(after.events.len(), before.events.len() + 3);
    assert_eq!(after.streams.len(), before.streams.len() + 2);
    assert_eq!(after.claims.len(), before.claims.len() + 2);
    let key = scene.has_key(&good).await;
    assert_eq!(key.as_ref(), Some(&good.patient_keys[0].wrapped));
    verified_log(&*scene.node.engine).await;
}

/// All appends go to the database in one call, which rejects the call as a whole.
async fn a_poisoned_append_fails_alone(bed: &ContractDatabase) {
    let faulty = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&faulty) as _).await;
    let appends: Vec<Append> = (0..40)
        .map(|n| {
            let mut append = to(stream(), 0, 2);
            if n % 13 == 5 {
                append.events[1] = unstorable_event(append.events[1].stream_id, 2);
            }
            append
        })
        .collect();
    let answers = faulty.append_in_one_batch(&node, &appends, None).await;
    for (n, (append, answer)) in appends.iter().zip(answers).enumerate() {
        let stands = node
            .engine
            .read_stream(Scope::AllTenants, append.checks[0].stream_id, 0, 10)
            .await
            .unwrap();
        if n % 13 == 5 {
            let refused = matches!(answer, Err(StoreError::Engine(EngineError::Rejected(_))));
            assert!(refused, "{n}: {answer:?}");
            assert_eq!(stands, [], "{n}");
        } else {
            assert_eq!(
                stands.last().unwrap().position,
                answer.unwrap().position,
                "{n}"
            );
            assert_eq!(stands.len(), 2, "{n}");
        }
    }
    assert_eq!(verified_log(&*node.engine).await.len(), 1 + 2 * 37);
}

/// The error is a bug of the caller, not a version conflict: the log would have a gap.
async fn what_is_no_append_is_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    let one = stream();
    let two = stream();
    let wrong = [
        (
            "no check",
            Append {
                events: vec![event(one, 1)],
                ..Append::default()
            },
        ),
        (
            "a check of another stream",
            Append {
                checks: vec![check(two, 0)],
                ..to(one, 0, 1)
            },
        ),
        (
            "two checks",
            Append {
                checks: vec![check(one, 0), check(one, 0)],
                ..to(one, 0, 1)
            },
        ),
        (
            "a version left out",
            Append {
                checks: vec![check(one, 0)],
                ..to(one, 1, 1)
            },
        ),
        (
            "a version twice",
            Append {
                events: vec![event(one, 1), event(one, 1)],
                ..to(one, 0, 1)
            },
        ),
        (
            "backwards",
            Append {
                events: vec![event(one, 2), event(one, 1)],
                ..to(one, 0, 1)
            },
        ),
    ];
    for (what, append) in wrong {
        let (refused, good) = tokio::join!(node.append(append), node.append(to(stream(), 0, 1)));
        assert!(
            matches!(refused, Err(StoreError::Engine(EngineError::Rejected(_)))),
            "{what}: {refused:?}"
        );
        good.unwrap();
    }
    assert_eq!(
        node.engine
            .read_stream(Scope::AllTenants, one, 0, 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(verified_log(&*node.engine).await.len(), 6);
}
