//! Commands issued by the system. Each is idempotent: none is rejected, and a repetition yields no events.

use super::*;
use crate::order::Status as OrderStatus;

fn order(number: u128) -> OrderId {
    Uuid::from_u128(number).into()
}

fn linked(number: u128, priority: Priority) -> LinkedOrder {
    LinkedOrder {
        order_id: order(number),
        priority,
        status: OrderStatus::Completed,
    }
}

fn cancelled(number: u128) -> LinkedOrder {
    LinkedOrder {
        status: OrderStatus::Cancelled,
        ..linked(number, Priority::Routine)
    }
}

fn attach(number: u128, priority: Priority) -> Command {
    Command::AttachOrder(linked(number, priority))
}

fn twice_is_once(status: Status, command: &Command, expected: Vec<Event>) {
    an_item(status).when(command.clone()).then(expected.clone());
    let mut events = history(status);
    events.extend(expected);
    given::<WorklistItem>(events).when(command.clone()).then([]);
}

#[test]
fn an_order_raises_the_priority_and_never_lowers_it() {
    let raised = updated(|updated| {
        updated.imaging_order_id = Change::Set(order(9));
        updated.priority = Some(Priority::Stat);
    });
    let attached = updated(|updated| updated.imaging_order_id = Change::Set(order(9)));
    for status in Status::OPEN {
        twice_is_once(status, &attach(9, Priority::Stat), vec![raised.clone()]);
        twice_is_once(
            status,
            &attach(9, Priority::Routine),
            vec![attached.clone()],
        );
    }
    for status in [Status::Completed, Status::Cancelled] {
        an_item(status).when(attach(9, Priority::Stat)).then([]);
    }
}

#[test]
fn an_order_that_is_attached_settles_a_conflict() {
    let conflict = updated(|updated| updated.attention = Some(vec![Attention::LinkConflict]));
    given::<WorklistItem>([created(), conflict])
        .when(attach(9, Priority::Routine))
        .then([updated(|updated| {
            updated.imaging_order_id = Change::Set(order(9));
            updated.attention = Some(Vec::new());
        })]);
}

#[test]
fn a_clinicians_priority_is_not_raised_again_by_an_order_that_is_known() {
    let attached = updated(|updated| {
        updated.imaging_order_id = Change::Set(order(9));
        updated.priority = Some(Priority::Stat);
    });
    let lowered = updated(|updated| updated.priority = Some(Priority::Routine));
    given::<WorklistItem>([created(), attached, lowered])
        .when(attach(9, Priority::Stat))
        .then([]);
}

#[test]
fn late_images_open_a_completed_item_again_and_no_other() {
    let reopen = Command::Reopen(None);
    let reopened = updated(|updated| {
        updated.status = Some(Status::Pending);
        updated.attention = Some(vec![Attention::LateImages]);
    });
    twice_is_once(Status::Completed, &reopen, vec![reopened]);
    for status in [
        Status::Pending,
        Status::Claimed,
        Status::InProgress,
        Status::Cancelled,
    ] {
        an_item(status).when(reopen.clone()).then([]);
    }
}

#[test]
fn an_item_is_opened_again_with_the_order_that_its_study_answers_now() {
    let again = |order, set: fn(&mut Updated)| {
        an_item(Status::Completed)
            .when(Command::Reopen(Some(order)))
            .then([updated(|updated| {
                updated.status = Some(Status::Pending);
                updated.imaging_order_id = Change::Set(order.order_id);
                set(updated);
            })]);
    };
    again(linked(9, Priority::Stat), |updated| {
        updated.priority = Some(Priority::Stat);
        updated.attention = Some(vec![Attention::LateImages]);
    });
    again(cancelled(9), |updated| {
        updated.attention = Some(vec![Attention::LateImages, Attention::OrderCancelled]);
    });
}

#[test]
fn late_images_are_no_news_once_they_are_read() {
    let reopened = updated(|updated| {
        updated.status = Some(Status::Pending);
        updated.attention = Some(vec![Attention::LateImages, Attention::LinkConflict]);
    });
    let mut events = history(Status::Completed);
    events.push(reopened);
    given::<WorklistItem>(events)
        .when(Command::Complete)
        .then([updated(|updated| {
            updated.status = Some(Status::Completed);
            updated.attention = Some(vec![Attention::LinkConflict]);
        })]);
}

#[test]
fn a_cancelled_order_is_shown_on_an_open_item_and_hides_nothing() {
    let attach = Command::AttachOrder(cancelled(9));
    let shown = updated(|updated| {
        updated.imaging_order_id = Change::Set(order(9));
        updated.attention = Some(vec![Attention::OrderCancelled]);
    });
    for status in Status::OPEN {
        twice_is_once(status, &attach, vec![shown.clone()]);
    }
    for status in [Status::Completed, Status::Cancelled] {
        an_item(status).when(attach.clone()).then([]);
    }
}

#[test]
fn another_order_takes_the_place_of_a_cancelled_one() {
    let shown = updated(|updated| {
        updated.imaging_order_id = Change::Set(order(9));
        updated.attention = Some(vec![Attention::OrderCancelled]);
    });
    given::<WorklistItem>([created(), shown])
        .when(attach(10, Priority::Routine))
        .then([updated(|updated| {
            updated.imaging_order_id = Change::Set(order(10));
            updated.attention = Some(Vec::new());
        })]);
}

#[test]
fn a_conflict_of_patients_is_shown_on_whatever_is_not_cancelled() {
    let conflict = Command::MarkConflict;
    let shown = updated(|updated| updated.attention = Some(vec![Attention::LinkConflict]));
    for status in [
        Status::Pending,
        Status::Claimed,
        Status::InProgress,
        Status::Completed,
    ] {
        twice_is_once(status, &conflict, vec![shown.clone()]);
    }
    an_item(Status::Cancelled).when(conflict).then([]);
}

#[test]
fn a_report_begins_a_claimed_item_and_its_cancellation_takes_that_back() {
    let begun = updated(|updated| {
        updated.status = Some(Status::InProgress);
        updated.last_activity_at = Some(context().now);
    });
    twice_is_once(Status::Claimed, &Command::Begin, vec![begun]);
    twice_is_once(
        Status::InProgress,
        &Command::ReturnToClaimed,
        vec![moved(Status::Claimed)],
    );
    for status in [Status::Pending, Status::Completed, Status::Cancelled] {
        an_item(status).when(Command::Begin).then([]);
        an_item(status).when(Command::ReturnToClaimed).then([]);
    }
}

#[test]
fn a_signed_report_completes_an_item_from_whatever_open_state() {
    for status in Status::OPEN {
        twice_is_once(status, &Command::Complete, vec![moved(Status::Completed)]);
    }
    an_item(Status::Cancelled).when(Command::Complete).then([]);
}

#[test]
fn an_idle_claim_is_released_if_it_is_still_that_claim() {
    let idle = |radiologist_id, claimed_at| Command::ReleaseIdle {
        radiologist_id,
        claimed_at,
    };
    let now = context().now;
    for status in [Status::Claimed, Status::InProgress] {
        twice_is_once(
            status,
            &idle(anna(), now),
            vec![released(anna(), ReleaseReason::Idle)],
        );
        an_item(status).when(idle(boris(), now)).then([]);
        an_item(status)
            .when(idle(anna(), minutes_from_now(-1)))
            .then([]);
    }
    let again = [
        created(),
        claimed(anna()),
        released(anna(), ReleaseReason::ByRadiologist),
        claimed_at(anna(), minutes_from_now(3)),
    ];
    given::<WorklistItem>(again)
        .when(idle(anna(), now))
        .then([]);
}

#[test]
fn an_order_that_the_study_does_not_answer_any_more_goes_with_its_marks() {
    let attached = updated(|change| {
        change.imaging_order_id = Change::Set(order(9));
        change.attention = Some(vec![Attention::LinkConflict, Attention::LateImages]);
    });
    let detached = updated(|change| {
        change.imaging_order_id = Change::Clear;
        change.attention = Some(vec![Attention::LateImages]);
    });
    let history = || given::<WorklistItem>([created(), attached.clone()]);
    history()
        .when(Command::DetachOrder(order(9)))
        .then([detached.clone()]);
    let item = given::<WorklistItem>([created(), attached.clone(), detached]).state();
    assert_eq!(item.case.imaging_order_id, None);
}
