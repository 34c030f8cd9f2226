use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use roentgen_domain::aggregate::{EventHeader, Versioned};
use roentgen_domain::change::Change;
use roentgen_domain::growth::Size;
use roentgen_domain::json::members_of;
use roentgen_domain::phi::{Phi, PhiText};
use roentgen_domain::report::{
    AuthoredContent, Cancel, Command, ContentEdit, CriticalNotice, Decision, Edit, Method,
    NewAddendum, NewCommunication, NewReport, NewReview, Report, ReportPhi, Sign,
};
use roentgen_domain::text::Text;
use roentgen_domain::{Actor, Aggregate as _, Context, DomainEvent as _, Timestamp};
use serde_json::{Value, json};

use aes_gcm::aead::KeyInit as _;

use super::super::{Aes256Gcm, Key, MasterKey, PatientKey};
use super::*;

const MEMBERS: [&str; 4] = ["indication", "metadata", "note", "patient"];

fn stream() -> StreamId {
    Uuid::from_u128(3).into()
}

fn key(n: u128) -> PatientKey {
    let master = MasterKey::parse(&MasterKey::generate()).unwrap();
    let patient = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
    PatientKey::fresh(&master, patient, Uuid::from_u128(n)).0
}

fn holding(key: &PatientKey) -> PatientKeys {
    PatientKeys {
        current: Some(key.clone()),
        ..PatientKeys::default()
    }
}

fn having_erased(key: &PatientKey, erased: &PatientKey) -> PatientKeys {
    PatientKeys {
        erased: [erased.key_id].into(),
        ..holding(key)
    }
}

/// Seals a part of form 1, without the names of its members, as earlier releases did.
fn sealed_in_form_1(key: &PatientKey, phi: &[u8], version: u64) -> Vec<u8> {
    let header = Header {
        key_id: key.key_id,
        members: None,
    };
    key.seal_with(&header, phi, stream(), version)
}

fn versions(parts: &SealedPhi) -> Vec<u64> {
    let parts = parts.split().unwrap();
    parts.into_iter().map(|(version, _)| version).collect()
}

fn of(key: &PatientKey, histories: &[Value]) -> SealedPhi {
    let mut parts = SealedPhi::default();
    for (version, phi) in (1..).zip(histories) {
        let phi = serde_json::to_vec(phi).unwrap();
        parts.push(version, &key.seal(&phi, stream(), version));
    }
    parts
}

#[test]
fn a_part_is_dropped_when_later_ones_have_all_of_it() {
    let key = key(4);
    let a = json!(1);
    let histories = [json!({"a": a, "b": a}), json!({"a": a}), json!({"b": a})];
    for (count, left) in [(1, vec![1]), (2, vec![1, 2]), (3, vec![2, 3])] {
        let parts = of(&key, &histories[..count]);
        let compacted = parts.compacted(&VisiblePhi::default());
        assert_eq!(versions(&compacted), left);
    }
}

#[test]
fn a_part_that_does_not_say_what_it_has_stays_and_replaces_nothing() {
    let key = key(4);
    let phi = br#"{"a":1}"#;
    let mut parts = SealedPhi::default();
    parts.push(1, &key.seal(phi, stream(), 1));
    parts.push(2, &sealed_in_form_1(&key, phi, 2));
    parts.push(3, &sealed_in_form_1(&key, phi, 3));
    let compacted = parts.clone().compacted(&VisiblePhi::default());
    assert_eq!(versions(&compacted), [1, 2, 3]);
    parts.push(4, &key.seal(phi, stream(), 4));
    let compacted = parts.compacted(&VisiblePhi::default());
    assert_eq!(versions(&compacted), [2, 3, 4]);
    let opened = compacted.open(stream(), &holding(&key)).unwrap();
    assert_eq!(opened, Some(members_of(&json!({"a": 1}))));
}

#[test]
fn what_another_key_sealed_is_not_replaced_and_stays_erased() {
    let old = key(4);
    let new = key(5);
    let mut parts = SealedPhi::default();
    parts.push(1, &old.seal(br#"{"a":1}"#, stream(), 1));
    parts.push(2, &new.seal(br#"{"a":2}"#, stream(), 2));
    let compacted = parts.compacted(&VisiblePhi::default());
    assert_eq!(versions(&compacted), [1, 2]);
    assert_eq!(
        compacted.open(stream(), &having_erased(&new, &old)),
        Ok(None)
    );
}

#[test]
fn whoever_alters_the_names_of_a_part_is_found_out() {
    let key = key(4);
    let mut sealed = key.seal(br#"{"a":1}"#, stream(), 1);
    let name = sealed.get_mut(19).unwrap();
    assert_eq!(*name, b'a');
    *name = b'b';
    assert_eq!(key.open(&sealed, stream(), 1), Err(SealError::Tampered));
    let unnamed = [&[1], &sealed[1..17], &sealed[20..]].concat();
    assert_eq!(key.open(&unnamed, stream(), 1), Err(SealError::Tampered));
}

/// Merges the members of the parts up to a version, without the parts that are visible on their own.
fn laid_over(parts: &[PhiAtVersion], shown: &VisiblePhi, upto: u64) -> Members {
    let in_time = parts
        .iter()
        .filter(|(version, _)| *version <= upto && !shown.alone.contains(version));
    in_time.flat_map(|(_, part)| part.clone()).collect()
}

fn histories() -> impl Strategy<Value = Vec<BTreeSet<&'static str>>> {
    let members = prop::collection::btree_set(prop::sample::select(&MEMBERS[..]), 0..4);
    prop::collection::vec(members, 1..20)
}

fn places() -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(1_u64..20, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// For any history, the compacted parts show the same as all parts, however often they are compacted.
    #[test]
    fn compacted_parts_show_what_all_of_them_show(
        histories in histories(),
        dividers in places(),
        alone in places(),
        first in 0_usize..20,
    ) {
        let key = key(4);
        let shown = VisiblePhi { dividers, alone };
        let of_event = |(n, members): (usize, &BTreeSet<&str>)| {
            let members = members.iter().map(|name| ((*name).to_owned(), json!(n)));
            Value::Object(members.collect())
        };
        let all: Vec<Value> = histories.iter().enumerate().map(of_event).collect();
        let whole = of(&key, &all);
        let compacted = whole.clone().compacted(&shown);
        let open = |parts: &SealedPhi| parts.open_each(stream(), &holding(&key)).unwrap().unwrap();
        let before = open(&whole);
        let after = open(&compacted);
        for upto in shown.dividers.iter().copied().chain([u64::MAX]) {
            prop_assert_eq!(laid_over(&before, &shown, upto), laid_over(&after, &shown, upto));
        }
        let by_itself = |parts: &[PhiAtVersion]| -> Vec<PhiAtVersion> {
            parts.iter().filter(|(version, _)| shown.alone.contains(version)).cloned().collect()
        };
        prop_assert_eq!(by_itself(&before), by_itself(&after));

        let bound = (MEMBERS.len() + 1) * (shown.dividers.len() + 1) + shown.alone.len();
        prop_assert!(after.len() <= bound);
        let once: Vec<u64> = versions(&compacted);
        let first = first.min(all.len());
        let mut in_two = SealedPhi::default();
        for (n, (version, sealed)) in whole.split().unwrap().into_iter().enumerate() {
            if n == first {
                in_two = in_two.compacted(&shown);
            }
            in_two.push(version, sealed);
        }
        prop_assert_eq!(versions(&in_two.compacted(&shown)), once);
    }
}

fn words(text: &str) -> Phi<Text> {
    Phi::new(Text::parse(text).unwrap())
}

fn radiologist() -> roentgen_domain::ids::PractitionerId {
    Uuid::from_u128(9).into()
}

fn notice() -> CriticalNotice {
    CriticalNotice {
        imaging_order_id: None,
        ordering_practitioner_id: None,
        critical_deadline: Duration::from_secs(3600),
    }
}

fn context() -> Context {
    Context {
        tenant_id: Uuid::from_u128(1).into(),
        actor: Actor::system(),
        now: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        fresh_id: crate::clock::fresh_id(),
    }
}

fn create() -> Command {
    let mut written = AuthoredContent::default();
    written.content.technique = Some(words("created"));
    Command::Create(Box::new(NewReport {
        imaging_study_id: Uuid::from_u128(5).into(),
        imaging_order_id: None,
        patient_id: Uuid::from_u128(2).into(),
        radiologist_id: radiologist(),
        template_id: None,
        written,
    }))
}

fn edit(change: impl FnOnce(&mut Edit)) -> Command {
    let mut edit = Edit {
        radiologist_id: radiologist(),
        written: ContentEdit::default(),
        sections: Vec::new(),
        critical_result: None,
    };
    change(&mut edit);
    Command::Edit(Box::new(edit))
}

fn sign(is_final: bool) -> Command {
    Command::Sign(Box::new(Sign {
        radiologist_id: radiologist(),
        is_final,
        communication: None,
        notice: notice(),
    }))
}

fn add(critical_result: Option<bool>, n: u8) -> Command {
    Command::AddAddendum(Box::new(NewAddendum {
        radiologist_id: radiologist(),
        kind: roentgen_domain::report::AddendumKind::Addition,
        content: words(&format!("addendum {n}")),
        critical_result,
        notice: notice(),
    }))
}

fn communicate(n: u8) -> Command {
    Command::Communicate(Box::new(NewCommunication {
        radiologist_id: radiologist(),
        recipient: words(&format!("recipient {n}")),
        method: Method::Phone,
        communicated_at: context().now,
        read_back: true,
        note: n.is_multiple_of(2).then(|| words(&format!("note {n}"))),
    }))
}

fn review(output: u8, n: u8) -> Command {
    Command::ReviewSuggestion(Box::new(NewReview {
        radiologist_id: radiologist(),
        output_id: Uuid::from_u128(u128::from(output)).into(),
        decision: Decision::Accepted,
        note: Some(words(&format!("judged {n}"))),
    }))
}

fn cancel(n: u8) -> Command {
    Command::Cancel(Cancel {
        radiologist_id: radiologist(),
        reason: words(&format!("reason {n}")),
    })
}

/// Returns a change that sets new text or clears it.
fn change(n: u8, said: &str) -> Change<PhiText> {
    if n.is_multiple_of(4) {
        Change::Clear
    } else {
        Change::Set(words(&format!("{said} {n}")))
    }
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let one = (0_u8..20, any::<u8>()).prop_map(|(kind, n)| match kind {
        0..=2 => create(),
        3..=6 => edit(|edit| edit.written.content.findings = change(n, "finding")),
        7..=9 => edit(|edit| edit.written.content.impression = change(n, "means")),
        10 => edit(|edit| edit.written.ai_assist_summary = change(n, "summary")),
        11 => edit(|edit| edit.critical_result = Some(n.is_multiple_of(2))),
        12..=13 => sign(false),
        14 => sign(true),
        15 => add(n.is_multiple_of(3).then_some(n.is_multiple_of(2)), n),
        16 => communicate(n),
        17..=18 => review(n % 2, n),
        _ => cancel(n),
    });
    prop::collection::vec(one, 1..60)
}

/// Returns the content of a report that readers can see.
fn seen(report: &Report) -> impl PartialEq + std::fmt::Debug + use<> {
    let phi = report.phi.as_ref().unwrap();
    let cancelled = report.shown_parts().alone;
    (
        report.authored_content(),
        report.released_content(),
        report.verify_signature(),
        report
            .addenda()
            .iter()
            .map(|addendum| phi.addendum(addendum.version))
            .collect::<Vec<_>>(),
        report
            .communications
            .iter()
            .map(|communication| phi.communication_text(communication.version))
            .collect::<Vec<_>>(),
        report
            .ai_suggestions
            .iter()
            .map(|review| phi.note(review.version))
            .collect::<Vec<_>>(),
        cancelled
            .into_iter()
            .map(|cancelled| phi.cancellation_reason(cancelled))
            .collect::<Vec<_>>(),
        report.phi().map(Phi::into_inner),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For any history of a report, its readers see the same with the parts in a row as with all parts.
    #[test]
    fn a_report_shows_the_same_from_what_a_row_keeps(commands in commands()) {
        let key = key(4);
        let mut resource: Option<Versioned<Report>> = None;
        let mut all = SealedPhi::default();
        let mut kept = SealedPhi::default();
        for command in commands {
            let state = resource.as_ref().map(|report| &report.state);
            let Ok(events) = Report::decide(state, command, &context()) else {
                continue;
            };
            for event in events {
                let version = resource.as_ref().map_or(0, |report| report.version) + 1;
                let phi = event.phi().unwrap();
                let phi = phi.map(Phi::into_inner).unwrap_or_default();
                if !phi.is_empty() {
                    let sealed = key.seal(&phi, stream(), version);
                    all.push(version, &sealed);
                    kept.push(version, &sealed);
                }
                let standing = EventHeader {
                    stream_id: stream(),
                    tenant_id: context().tenant_id,
                    version,
                    recorded_at: context().now,
                    size: Size::default(),
                };
                resource = Some(Versioned::evolve(resource, event, standing).unwrap());
            }
            let Some(report) = resource.as_ref().map(|report| &report.state) else {
                continue;
            };
            kept = kept.compacted(&report.shown_parts());
            let with = |parts: &SealedPhi| {
                let mut report = report.clone();
                let opened = parts.open_each(stream(), &holding(&key)).unwrap().unwrap();
                report.phi = Some(ReportPhi::from_parts(opened));
                seen(&report)
            };
            prop_assert_eq!(with(&kept), with(&all));
            let at_once = all.clone().compacted(&report.shown_parts());
            prop_assert_eq!(versions(&at_once), versions(&kept));
            let listed = report.shown_parts().alone.len();
            prop_assert!(versions(&kept).len() <= 3 * 10 + listed);
        }
    }
}

/// Parts written by earlier releases, with key id 4 and the key 00 01 .. 1f, for version 7 of stream 3. Every release
/// must read them.
const MUSEUM: [&str; 2] = [
    "01000000000000000000000000000000046465666768696a6b6c6d6e6f3339b7081d8035ff4a0b3086f85f488f\
     37ae632ae4198752d4a5de2790c68735de7c0e51ddb82069f9446eb743238fd5",
    "0200000000000000000000000000000004000a696e6469636174696f6e6465666768696a6b6c6d6e6f3339b708\
     1d8035ff4a0b3086f85f488f37ae632ae4198752d4a5de2790c687356c6f0c0b3f2d2fcc2e8b5ee01c5e8b93",
];

#[test]
fn every_form_that_was_ever_written_is_read() {
    let bytes: Vec<u8> = (0..32).collect();
    let bytes: [u8; 32] = bytes.try_into().unwrap();
    let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(bytes));
    let key = PatientKey {
        key_id: Uuid::from_u128(4),
        cipher: cipher.into(),
        seen: Instant::now(),
    };
    for part in MUSEUM {
        let digits: Vec<u32> = part
            .chars()
            .map(|digit| digit.to_digit(16).unwrap())
            .collect();
        let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
        let sealed: Vec<u8> = bytes.collect();
        let opened = key.open(&sealed, stream(), 7).unwrap().unwrap();
        assert_eq!(opened, br#"{"indication":"rule out stroke"}"#);
    }
}
