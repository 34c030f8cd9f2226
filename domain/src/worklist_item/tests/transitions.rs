//! Manual transitions of an item.

use super::*;

/// Outcome of a command in each status: the new status, `None` if the status is unchanged, or the domain error.
type Row = (fn() -> Command, [Result<Option<Status>, Error>; 5]);

const IN: [Status; 5] = [
    Status::Pending,
    Status::Claimed,
    Status::InProgress,
    Status::Completed,
    Status::Cancelled,
];

const COMPLETED: Result<Option<Status>, Error> = Err(Error::Closed {
    status: Status::Completed,
});
const CANCELLED: Result<Option<Status>, Error> = Err(Error::Closed {
    status: Status::Cancelled,
});
const OTHERS: Result<Option<Status>, Error> = Err(Error::HeldByOther);
const STAYS: Result<Option<Status>, Error> = Ok(None);

const fn to(status: Status) -> Result<Option<Status>, Error> {
    Ok(Some(status))
}

const fn exists(status: Status) -> Result<Option<Status>, Error> {
    Err(Error::AlreadyExists { status })
}

const fn not_pending(status: Status) -> Result<Option<Status>, Error> {
    Err(Error::NotPending { status })
}

/// In the order of [`IN`]. The holder is Anna.
const TABLE: &[Row] = &[
    (
        || Command::Create(Box::new(new_item())),
        [
            exists(Status::Pending),
            exists(Status::Claimed),
            exists(Status::InProgress),
            exists(Status::Completed),
            to(Status::Pending),
        ],
    ),
    (
        || claim(anna()),
        [
            to(Status::Claimed),
            not_pending(Status::Claimed),
            not_pending(Status::InProgress),
            not_pending(Status::Completed),
            not_pending(Status::Cancelled),
        ],
    ),
    (
        || Command::Release(Authority::Own(anna())),
        [
            STAYS,
            to(Status::Pending),
            to(Status::Pending),
            COMPLETED,
            CANCELLED,
        ],
    ),
    (
        || Command::Release(Authority::Own(boris())),
        [STAYS, OTHERS, OTHERS, COMPLETED, CANCELLED],
    ),
    (
        || Command::Release(Authority::Any),
        [
            STAYS,
            to(Status::Pending),
            to(Status::Pending),
            COMPLETED,
            CANCELLED,
        ],
    ),
    (
        || step(RequestedStatus::InProgress, Authority::Own(anna())),
        [
            Err(Error::NotHeld),
            to(Status::InProgress),
            STAYS,
            COMPLETED,
            CANCELLED,
        ],
    ),
    (
        || step(RequestedStatus::InProgress, Authority::Own(boris())),
        [Err(Error::NotHeld), OTHERS, OTHERS, COMPLETED, CANCELLED],
    ),
    (
        || step(RequestedStatus::InProgress, Authority::Any),
        [
            Err(Error::NotHeld),
            to(Status::InProgress),
            STAYS,
            COMPLETED,
            CANCELLED,
        ],
    ),
    (
        || step(RequestedStatus::Completed, Authority::Own(anna())),
        [
            Err(Error::NotHeld),
            to(Status::Completed),
            to(Status::Completed),
            STAYS,
            CANCELLED,
        ],
    ),
    (
        || step(RequestedStatus::Completed, Authority::Own(boris())),
        [Err(Error::NotHeld), OTHERS, OTHERS, STAYS, CANCELLED],
    ),
    (
        || step(RequestedStatus::Completed, Authority::Any),
        [
            Err(Error::NotHeld),
            to(Status::Completed),
            to(Status::Completed),
            STAYS,
            CANCELLED,
        ],
    ),
    (
        || step(RequestedStatus::Cancelled, Authority::Any),
        [
            to(Status::Cancelled),
            to(Status::Cancelled),
            to(Status::Cancelled),
            COMPLETED,
            STAYS,
        ],
    ),
    (
        || step(RequestedStatus::Pending, Authority::Any),
        [
            STAYS,
            to(Status::Pending),
            to(Status::Pending),
            COMPLETED,
            CANCELLED,
        ],
    ),
];

#[test]
fn every_command_in_every_state_matches_transition_table() {
    for (number, (command, expected)) in TABLE.iter().enumerate() {
        for (status, expected) in IN.iter().zip(expected) {
            let before = an_item(*status).state();
            let decided = WorklistItem::decide(Some(&before), command(), &context());
            let became = decided.map(|events| {
                let moved = !events.is_empty();
                let after = events.into_iter().fold(before, |item, event| {
                    WorklistItem::evolve(Some(item), event).unwrap()
                });
                moved.then(|| after.status())
            });
            assert_eq!(became, *expected, "row {number}, {status}");
        }
    }
}

#[test]
fn nothing_is_asked_of_an_item_that_is_not_there() {
    for command in [
        claim(anna()),
        Command::Release(Authority::Any),
        step(RequestedStatus::Cancelled, Authority::Any),
        Command::Begin,
        Command::Complete,
    ] {
        given::<WorklistItem>([])
            .when(command)
            .refused(Error::NotFound);
    }
}

#[test]
fn is_created_pending_with_who_the_patient_is() {
    given::<WorklistItem>([])
        .when(Command::Create(Box::new(new_item())))
        .then([created()]);
    let item = an_item(Status::Pending).state();
    assert_eq!(
        item.phi,
        Some(CreatedPhi { patient: patient() }),
        "sealed, and known while open"
    );
    assert!(!serde_json::to_string(&item).unwrap().contains("MRN-1"));
}

#[test]
fn a_claim_says_who_assigned_it_and_since_when() {
    let by = Claim {
        radiologist_id: boris(),
        assigned_by: Some("desk".to_owned()),
    };
    let item = an_item(Status::Pending).state();
    let events = WorklistItem::decide(Some(&item), Command::Claim(by), &context()).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&crate::DomainEvent::payload(&events[0]).unwrap()).unwrap()["assigned_by"],
        "desk"
    );
    let item = WorklistItem::evolve(Some(item), events[0].clone()).unwrap();
    assert_eq!(
        item.assignment(),
        Some(Assignment {
            assigned_radiologist_id: boris(),
            claimed_at: context().now
        })
    );
}

#[test]
fn a_release_names_the_holder_and_how_it_came() {
    assert_eq!(
        by_anna(
            an_item(Status::Claimed),
            Command::Release(Authority::Own(anna()))
        ),
        Ok(vec![released(anna(), ReleaseReason::ByRadiologist)])
    );
    an_item(Status::InProgress)
        .when(Command::Release(Authority::Any))
        .then([released(anna(), ReleaseReason::ByAdmin)]);
}

#[test]
fn a_step_of_the_holder_is_activity_and_another_ones_is_not() {
    let begins = |last_activity_at| {
        updated(|updated| {
            updated.status = Some(Status::InProgress);
            updated.last_activity_at = last_activity_at;
        })
    };
    assert_eq!(
        by_anna(
            an_item(Status::Claimed),
            step(RequestedStatus::InProgress, Authority::Own(anna()))
        ),
        Ok(vec![begins(Some(context().now))])
    );
    an_item(Status::Claimed)
        .when(step(RequestedStatus::InProgress, Authority::Any))
        .then([begins(None)]);
}

#[test]
fn a_completed_item_says_who_read_it_and_is_held_by_nobody() {
    let item = an_item(Status::Completed).state();
    assert_eq!(item.holder(), None);
    assert_eq!(
        item.progress,
        Lifecycle::Completed {
            assigned_radiologist_id: Some(anna()),
            claimed_at: Some(context().now)
        }
    );
}

#[test]
fn one_update_takes_an_item_from_one_radiologist_and_gives_it_to_another() {
    let handed_over = Command::Update(Box::new(Update {
        status: Some(RequestedStatus::Pending),
        assign: Change::Set(Claim {
            radiologist_id: boris(),
            assigned_by: None,
        }),
        priority: Some(Priority::Stat),
        ..nothing_yet(Authority::Any)
    }));
    an_item(Status::InProgress).when(handed_over).then([
        released(anna(), ReleaseReason::ByAdmin),
        claimed(boris()),
        updated(|updated| updated.priority = Some(Priority::Stat)),
    ]);
}

#[test]
fn an_assignment_that_is_taken_away_is_a_release() {
    let unassign = || {
        Command::Update(Box::new(Update {
            assign: Change::Clear,
            ..nothing_yet(Authority::Any)
        }))
    };
    for status in [Status::Claimed, Status::InProgress] {
        an_item(status)
            .when(unassign())
            .then([released(anna(), ReleaseReason::ByAdmin)]);
    }
    an_item(Status::Pending).when(unassign()).then([]);
    an_item(Status::Completed)
        .when(unassign())
        .refused(Error::Closed {
            status: Status::Completed,
        });
}

#[test]
fn an_assignment_is_a_claim_and_takes_nobodys_case_away() {
    let assign = Command::Update(Box::new(Update {
        assign: Change::Set(Claim {
            radiologist_id: boris(),
            assigned_by: None,
        }),
        ..nothing_yet(Authority::Any)
    }));
    an_item(Status::Claimed)
        .when(assign)
        .refused(Error::NotPending {
            status: Status::Claimed,
        });
}

#[test]
fn a_priority_changes_while_the_item_is_open_and_only_where_it_is_another() {
    let to = |priority| {
        Command::Update(Box::new(Update {
            priority: Some(priority),
            ..nothing_yet(Authority::Any)
        }))
    };
    for status in Status::OPEN {
        an_item(status)
            .when(to(Priority::Routine))
            .then([updated(|updated| {
                updated.priority = Some(Priority::Routine)
            })]);
    }
    for status in [Status::Completed, Status::Cancelled] {
        an_item(status)
            .when(to(Priority::Stat))
            .refused(Error::Closed { status });
        an_item(status).when(to(Priority::Urgent)).then([]);
    }
}

#[test]
fn an_item_that_is_created_again_keeps_its_patient_where_none_is_told() {
    let again = Event::Created(Box::new(Created {
        worklist_item_id: WorklistItemId::derive(study()),
        patient_id: new_item().patient_id,
        case: new_item().case,
        priority: Priority::Routine,
        status: Status::Pending,
        last_activity_at: minutes_from_now(5),
        attention: vec![Attention::LinkConflict],
        phi: None,
    }));
    let mut events = history(Status::Cancelled);
    events.push(again);
    let item = given::<WorklistItem>(events).state();
    assert_eq!(item.status(), Status::Pending);
    assert_eq!(item.priority, Priority::Routine);
    assert_eq!(item.attention, [Attention::LinkConflict]);
    assert_eq!(item.phi, Some(CreatedPhi { patient: patient() }));
}

#[test]
fn in_progress_without_holder_is_unexpected_event() {
    for status in [Status::Claimed, Status::InProgress] {
        let item = an_item(Status::Pending).state();
        assert!(WorklistItem::evolve(Some(item), moved(status)).is_err());
    }
    let open = an_item(Status::Pending).state();
    assert!(WorklistItem::evolve(Some(open), created()).is_err());
    assert!(WorklistItem::evolve(None, claimed(anna())).is_err());
}
