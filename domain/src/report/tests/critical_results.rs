use super::*;
use crate::given_when_then::minutes_from_now;

fn outstanding(commands: impl IntoIterator<Item = Command>) -> CriticalCommunication {
    a_report(commands).critical_communication()
}

#[test]
fn the_first_signature_of_a_critical_report_raises_it_once() {
    for is_final in [false, true] {
        let events = after([create(), mark(true), sign(is_final)]);
        assert_eq!(
            names(&events),
            ["Created", "Updated", "Signed", "CriticalResult"]
        );
        let Some(Event::CriticalResult(raised)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(raised.deadline, minutes_from_now(60));
        assert_eq!(
            raised.ordering_practitioner_id,
            notice().ordering_practitioner_id
        );
        assert_eq!(raised.imaging_order_id, Some(Uuid::from_u128(6).into()));
        let said = raised.phi.clone().unwrap();
        assert_eq!(said.impression, Some(words("acute stroke")));
    }
    let signed = || [create(), mark(true), sign(false)];
    assert_eq!(leads_to(signed(), sign(true)), ["Signed"]);
    let edited = signed().into_iter().chain([findings("more")]);
    assert_eq!(leads_to(edited, sign(false)), ["Signed"]);
}

#[test]
fn a_report_that_is_marked_after_its_first_signature_raises_it_with_the_next() {
    let marked = [create(), sign(false), mark(true)];
    assert_eq!(leads_to(marked, sign(true)), ["Signed", "CriticalResult"]);
}

#[test]
fn an_addendum_may_raise_it_and_take_it_back() {
    let fin = || vec![create(), sign(true)];
    let critical = || [fin(), vec![addendum(Some(true))]].concat();
    assert_eq!(
        leads_to(fin(), addendum(Some(true))),
        ["AddendumAdded", "CriticalResult"]
    );
    assert_eq!(
        leads_to(critical(), addendum(Some(true))),
        ["AddendumAdded"]
    );
    assert_eq!(outstanding(critical()), CriticalCommunication::Outstanding);
    let back = || [critical(), vec![addendum(Some(false))]].concat();
    let report = a_report(back());
    assert!(!report.critical_result && report.open_critical().is_none());
    assert_eq!(report.critical_communication(), CriticalCommunication::None);
    assert_eq!(
        leads_to(back(), addendum(Some(true))),
        ["AddendumAdded", "CriticalResult"],
        "it is another one"
    );
}

#[test]
fn an_addendum_after_somebody_was_told_raises_another_one() {
    let told_of_the_first = || vec![create(), mark(true), sign(true), communicate("Dr. Example")];
    let raised_again = || [told_of_the_first(), vec![addendum(Some(true))]].concat();
    assert_eq!(
        leads_to(told_of_the_first(), addendum(Some(true))),
        ["AddendumAdded", "CriticalResult"]
    );
    assert_eq!(
        leads_to(told_of_the_first(), addendum(None)),
        ["AddendumAdded"]
    );
    let report = a_report(raised_again());
    assert!(
        report
            .open_critical()
            .is_some_and(|critical| !critical.overdue)
    );
    assert_eq!(
        outstanding(raised_again()),
        CriticalCommunication::Outstanding
    );
    assert_eq!(report.critical_communications().count(), 0);
    assert_eq!(
        leads_to(raised_again(), addendum(Some(true))),
        ["AddendumAdded"],
        "that one is open"
    );
    let told_again = || [raised_again(), vec![communicate("Dr. Example")]].concat();
    assert_eq!(
        outstanding(told_again()),
        CriticalCommunication::Communicated,
        "in the words of the first time"
    );
    assert_eq!(leads_to(told_again(), communicate("Dr. Example")), [""; 0]);
    let report = a_report(told_again());
    let noted = report
        .find_communication(&communication("Dr. Example"))
        .unwrap();
    assert_eq!(Some(noted), report.communications.last());
}

#[test]
fn a_signature_that_it_is_not_critical_takes_it_back() {
    let unmarked = || vec![create(), mark(true), sign(false), mark(false)];
    let report = a_report(unmarked());
    assert!(report.open_critical().is_some(), "what was signed stands");
    assert_eq!(
        report.critical_communication(),
        CriticalCommunication::Outstanding
    );
    let signed = a_report([unmarked(), vec![sign(false)]].concat());
    assert_eq!(signed.open_critical(), None);
    assert_eq!(signed.critical_communication(), CriticalCommunication::None);
}

#[test]
fn somebody_who_was_told_since_it_was_marked_was_told() {
    use CriticalCommunication::{Communicated, None, Outstanding};
    assert_eq!(outstanding([create()]), None);
    assert_eq!(outstanding([create(), communicate("a")]), None);
    assert_eq!(outstanding([create(), mark(true)]), Outstanding);
    for told in [
        vec![create(), communicate("a"), mark(true)],
        vec![create(), mark(true), communicate("a")],
        vec![create(), mark(true), sign(true), communicate("a")],
        vec![create(), sign(true), addendum(Some(true)), communicate("a")],
    ] {
        assert_eq!(outstanding(told.clone()), Communicated);
        assert_eq!(a_report(told).open_critical(), Option::None);
    }
    for told_of_something_else in [
        vec![create(), sign(true), communicate("a"), addendum(Some(true))],
        vec![create(), sign(false), communicate("a"), mark(true)],
    ] {
        assert_eq!(outstanding(told_of_something_else), Outstanding);
    }
}

#[test]
fn a_communication_may_come_with_the_signature() {
    let told = || {
        Command::Sign(Box::new(Sign {
            radiologist_id: resident(),
            is_final: true,
            communication: Some(communication("Dr. Example")),
            notice: notice(),
        }))
    };
    let marked = || vec![create(), mark(true)];
    assert_eq!(
        leads_to(marked(), told()),
        ["Signed", "CriticalResult", "CriticalResultCommunicated"]
    );
    let signed = || [marked(), vec![told()]].concat();
    assert_eq!(leads_to(signed(), told()), [""; 0]);
    assert_eq!(outstanding(signed()), CriticalCommunication::Communicated);
}

#[test]
fn the_same_communication_is_noted_once() {
    let noted = || [create(), communicate("Dr. Example")];
    assert_eq!(leads_to(noted(), communicate("Dr. Example")), [""; 0]);
    assert_eq!(
        leads_to(noted(), communicate("Dr. Other")),
        ["CriticalResultCommunicated"]
    );
    let marked_since = [create(), sign(false), communicate("a"), mark(true)];
    assert_eq!(
        leads_to(marked_since, communicate("a")),
        ["CriticalResultCommunicated"],
        "the first time it was of something else"
    );
    let report = a_report(noted());
    assert!(
        report
            .find_communication(&communication("Dr. Example"))
            .is_some()
    );
    let words_of = report
        .phi
        .unwrap()
        .communication_text(report.communications[0].version);
    assert_eq!(words_of.unwrap().recipient, words("Dr. Example"));
}

#[test]
fn what_was_told_of_an_unsigned_mark_is_released_with_the_signature() {
    let released = |commands: Vec<Command>| {
        let report = a_report(commands);
        (
            report.released_communications().count(),
            report.communications.len(),
        )
    };
    let with = |first: &[Command], more: &[Command]| [first, more].concat();
    let draft = [create(), mark(true), communicate("a")];
    let marked_since = [create(), sign(false), mark(true), communicate("a")];
    let signed = [create(), mark(true), sign(false), communicate("a")];
    for (unsigned, with_this) in [(&draft[..], sign(false)), (&marked_since[..], sign(true))] {
        assert_eq!(released(unsigned.to_vec()), (0, 1));
        assert_eq!(released(with(unsigned, &[cancel()])), (0, 1));
        assert_eq!(released(with(unsigned, &[with_this])), (1, 1));
    }
    for more in [vec![], vec![mark(false)], vec![cancel()], vec![sign(true)]] {
        assert_eq!(released(with(&signed, &more)), (1, 1), "{more:?}");
    }
    let again = [sign(true), addendum(Some(true)), communicate("b")];
    assert_eq!(released(with(&signed, &again)), (2, 2));
}

#[test]
fn nobody_is_told_in_the_future() {
    let told_in = |minutes| {
        let mut new = communication("Dr. Example");
        new.communicated_at = minutes_from_now(minutes);
        Command::Communicate(Box::new(new))
    };
    given::<Report>(after([create()]))
        .when(told_in(6))
        .refused(Error::CommunicatedInFuture);
    assert_eq!(
        leads_to([create()], told_in(5)),
        ["CriticalResultCommunicated"],
        "clocks differ"
    );
}

#[test]
fn is_overdue_once_where_nobody_was_told_in_time() {
    let at = |minutes| Context {
        now: minutes_from_now(minutes),
        ..context()
    };
    let mark_overdue = |commands: Vec<Command>, minutes| {
        let state = a_report(commands);
        Report::decide(Some(&state), Command::MarkOverdue, &at(minutes))
            .map(|decide| names(&decide))
    };
    let raised = || vec![create(), mark(true), sign(true)];
    assert_eq!(mark_overdue(raised(), 59), Err(Error::NotDue));
    assert_eq!(
        mark_overdue(raised(), 60),
        Ok(vec!["CriticalResultOverdue"])
    );
    let raised_again = [raised(), vec![communicate("a"), addendum(Some(true))]].concat();
    assert_eq!(
        mark_overdue(raised_again, 60),
        Ok(vec!["CriticalResultOverdue"])
    );
    for nothing_is_due in [
        vec![create(), mark(true)],
        vec![create(), sign(true)],
        [raised(), vec![communicate("a")]].concat(),
        vec![create(), mark(true), sign(false), cancel()],
    ] {
        assert_eq!(mark_overdue(nothing_is_due, 61), Ok(Vec::new()));
    }
    let mut events = after(raised());
    let state = given::<Report>(events.clone()).state();
    events.extend(Report::decide(Some(&state), Command::MarkOverdue, &at(60)).unwrap());
    let overdue = given::<Report>(events).state();
    assert!(overdue.open_critical().unwrap().overdue);
    assert_eq!(
        Report::decide(Some(&overdue), Command::MarkOverdue, &at(61)),
        Ok(Vec::new())
    );
}
