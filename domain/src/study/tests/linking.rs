//! Links between studies and orders.

use super::*;

const NONE: &[Event] = &[];

/// Cases: existing link, command of the system, resulting events.
#[test]
fn the_first_order_that_fits_stays() {
    let link = |n| Command::Link { order_id: order(n) };
    let conflict = |n| Command::MarkConflict { order_id: order(n) };
    let is_linked = [linked(LinkKind::Linked, 1)];
    let is_in_conflict = [linked(LinkKind::Conflict, 1)];
    let cases: [(&[Event], Command, &[Event]); 8] = [
        (NONE, link(1), &is_linked),
        (NONE, conflict(1), &is_in_conflict),
        (&is_linked, link(1), NONE),
        (&is_linked, link(2), NONE),
        (&is_linked, conflict(2), NONE),
        (&is_in_conflict, conflict(1), NONE),
        (
            &is_in_conflict,
            conflict(2),
            &[linked(LinkKind::Conflict, 2)],
        ),
        (&is_in_conflict, link(2), &[linked(LinkKind::Linked, 2)]),
    ];
    for (before, command, after) in cases {
        let history = [&[available()], before].concat();
        past(history).when(command).then(after.to_vec());
    }
}

#[test]
fn a_person_settles_a_conflict_with_an_order_of_the_same_patient() {
    let in_conflict = || past([available(), linked(LinkKind::Conflict, 1)]);
    in_conflict()
        .when(update(|update| {
            update.order = Change::Set(ReferencedOrder::SamePatient(order(2)))
        }))
        .then([linked(LinkKind::Linked, 2)]);
    in_conflict()
        .when(update(|update| {
            update.order = Change::Set(ReferencedOrder::OtherPatient(order(2)))
        }))
        .refused(Error::OrderOfOtherPatient);
}

#[test]
fn a_person_may_link_it_with_another_order() {
    let linked_with_one = || past([available(), linked(LinkKind::Linked, 1)]);
    let name =
        |n| update(|update| update.order = Change::Set(ReferencedOrder::SamePatient(order(n))));
    linked_with_one().when(name(1)).then([]);
    linked_with_one()
        .when(name(2))
        .then([linked(LinkKind::Linked, 2)]);
}

fn unlinked(n: u128) -> Event {
    Event::Unlinked(Unlinked {
        study_id: study_id(),
        patient_id: patient_id(),
        imaging_order_id: order(n),
    })
}

#[test]
fn a_person_takes_the_order_away_and_the_system_does_not_bring_it_back() {
    let part = || update(|asked| asked.order = Change::Clear);
    past([available()]).when(part()).then([]);
    for kind in [LinkKind::Linked, LinkKind::Conflict] {
        let history = vec![available(), linked(kind, 1)];
        past(history.clone()).when(part()).then([unlinked(1)]);
        let parted = || past([history.clone(), vec![unlinked(1)]].concat());
        assert_eq!(parted().state().linking, OrderLink::Unlinked);
        let again = Command::Link { order_id: order(1) };
        parted().when(again).then([]);
        let named = sync(|sync| sync.order = Some(ReferencedOrder::SamePatient(order(1))));
        parted().when(named).then([]);
        let other = Command::Link { order_id: order(2) };
        parted().when(other).then([linked(LinkKind::Linked, 2)]);
        let by_hand =
            update(|asked| asked.order = Change::Set(ReferencedOrder::SamePatient(order(1))));
        parted().when(by_hand).then([linked(LinkKind::Linked, 1)]);
    }
}

#[test]
fn the_resource_says_which_order_and_whether_it_fits() {
    let shown = |event: Event| {
        let state = past([available(), event]).state();
        let value = serde_json::to_value(&state).unwrap();
        let back: Study = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(back.linking, state.linking);
        value
    };
    let good = shown(linked(LinkKind::Linked, 1));
    assert_eq!(good["link"], "linked");
    assert_eq!(good["imaging_order_id"], order(1).to_string());
    let bad = shown(linked(LinkKind::Conflict, 1));
    assert_eq!(bad["link"], "conflict");
    assert_eq!(bad["imaging_order_id"], Value::Null);
}
