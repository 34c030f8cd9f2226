//! Properties that hold for all commands in any order.

use proptest::prelude::*;

use super::*;

fn commands() -> impl Strategy<Value = Command> {
    let who = prop_oneof![Just(resident()), Just(attending())];
    prop_oneof![
        1 => Just(create()),
        4 => (who.clone(), 0..4_u8).prop_map(|(who, n)| edit_by(who, |edit| {
            edit.written.content.findings = Change::Set(words(&format!("finding {n}")));
        })),
        2 => (who.clone(), 0..3_u8).prop_map(|(who, n)| edit_by(who, |edit| {
            edit.written.content.impression = Change::Set(words(&format!("impression {n}")));
        })),
        1 => (0..3_u8).prop_map(|n| edit(|edit| {
            edit.written.ai_assist_summary = Change::Set(words(&format!("summary {n}")));
        })),
        2 => any::<bool>().prop_map(mark),
        4 => (who, any::<bool>()).prop_map(|(who, is_final)| sign_by(who, is_final)),
        2 => prop_oneof![Just(None), any::<bool>().prop_map(Some)].prop_map(addendum),
        1 => Just(communicate("Dr. Example")),
        1 => Just(review(Decision::Accepted)),
        1 => Just(cancel()),
        1 => Just(Command::MarkOverdue),
    ]
}

/// Released content of a signature, to be compared with later released content.
#[derive(Clone, PartialEq, Debug)]
struct Seen {
    release: SignedVersion,
    content: Option<Content>,
}

fn seen(report: &Report) -> Option<Seen> {
    Some(Seen {
        release: report.signed_version()?.clone(),
        content: report.released_content(),
    })
}

proptest! {
    /// Only another signature changes signed content, and none does once the report is final.
    #[test]
    fn what_was_signed_is_never_altered(commands in prop::collection::vec(commands(), 1..40)) {
        let mut state = None::<Report>;
        let mut events = Vec::new();
        for command in commands {
            let before = state.as_ref().and_then(seen);
            let status = state.as_ref().map(Report::status);
            let Ok(decided) = Report::decide(state.as_ref(), command, &context()) else {
                continue;
            };
            let signs = decided.iter().any(|event| matches!(event, Event::Signed(_)));
            let begins = decided.iter().any(|event| matches!(event, Event::Created(_)));
            for event in decided {
                state = Some(Report::evolve(state, event.clone()).unwrap());
                events.push(event);
            }
            let report = state.as_ref().unwrap();
            if before.is_some() && !begins {
                let fixed = matches!(status, Some(Status::Final | Status::Corrected));
                prop_assert!(!(fixed && signs));
                if !signs {
                    prop_assert_eq!(seen(report), before);
                }
            }
            if report.signed_version().is_some() {
                prop_assert_eq!(report.verify_signature(), Some(true));
            }
            for addendum in report.addenda() {
                prop_assert_eq!(report.verify_addendum(addendum), Some(true));
            }
        }
        if let Some(report) = state {
            prop_assert_eq!(through_a_row(&events), report);
        }
    }

    /// `critical_communication` and the open result agree with the recorded communications, and a result that an
    /// addendum states as critical is open after the addendum.
    #[test]
    fn a_critical_result_is_raised_once_until_it_is_taken_back_or_told(
        commands in prop::collection::vec(commands(), 1..40),
    ) {
        let mut state = None::<Report>;
        let mut raised = false;
        for command in commands {
            let adds_critical =
                matches!(&command, Command::AddAddendum(addendum) if addendum.critical_result == Some(true));
            let Ok(decided) = Report::decide(state.as_ref(), command, &context()) else {
                continue;
            };
            for event in decided {
                if matches!(event, Event::CriticalResult(_)) {
                    prop_assert!(!raised, "raised twice");
                }
                state = Some(Report::evolve(state, event).unwrap());
                raised = state.as_ref().is_some_and(|report| report.open_critical().is_some());
            }
            if let Some(report) = &state {
                prop_assert!(!adds_critical || report.open_critical().is_some());
                let open = report.open_critical().is_some();
                let outstanding = report.critical_communication()
                    == CriticalCommunication::Outstanding;
                prop_assert!(!open || outstanding);
            }
        }
    }
}
