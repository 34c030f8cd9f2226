//! What the system's own commands do, each idempotent: they are refused nowhere, and a repeat yields no events.

use super::*;

fn order(number: u128) -> OrderId {
    Uuid::from_u128(number).into()
}

fn attach(number: u128, priority: Priority) -> Command {
    Command::AttachOrder {
        order_id: order(number),
        priority,
    }
}

fn twice_is_once(status: Status, command: &Command, expected: Vec<Event>) {
    an_item(status).when(command.clone()).then(expected.clone());
    let mut events = history(status);
    events.extend(expected);
    given::<WorklistItem>(events).when(command.clone()).then([]);
}

#[test]
fn an_order_raises_the_priority_and_never_lowers_it() {
    let raised = updated(|it| {
        it.imaging_order_id = Some(order(9));
        it.priority = Some(Priority::Stat);
    });
    let attached = updated(|it| it.imaging_order_id = Some(order(9)));
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
    let conflict = updated(|it| it.attention = Some(vec![Attention::LinkConflict]));
    given::<WorklistItem>([created(), conflict])
        .when(attach(9, Priority::Routine))
        .then([updated(|it| {
            it.imaging_order_id = Some(order(9));
            it.attention = Some(Vec::new());
        })]);
}

#[test]
fn late_images_open_a_completed_item_again_and_no_other() {
    let attend = Command::Attend(Attention::LateImages);
    let reopened = updated(|it| {
        it.status = Some(Status::Pending);
        it.attention = Some(vec![Attention::LateImages]);
    });
    twice_is_once(Status::Completed, &attend, vec![reopened]);
    for status in [
        Status::Pending,
        Status::Claimed,
        Status::InProgress,
        Status::Cancelled,
    ] {
        an_item(status).when(attend.clone()).then([]);
    }
}

#[test]
fn late_images_are_no_news_once_they_are_read() {
    let reopened = updated(|it| {
        it.status = Some(Status::Pending);
        it.attention = Some(vec![Attention::LateImages, Attention::LinkConflict]);
    });
    let mut events = history(Status::Completed);
    events.push(reopened);
    given::<WorklistItem>(events)
        .when(Command::Complete)
        .then([updated(|it| {
            it.status = Some(Status::Completed);
            it.attention = Some(vec![Attention::LinkConflict]);
        })]);
}

#[test]
fn a_cancelled_order_is_shown_on_an_open_item_and_hides_nothing() {
    let attend = Command::Attend(Attention::OrderCancelled);
    let shown = updated(|it| it.attention = Some(vec![Attention::OrderCancelled]));
    for status in Status::OPEN {
        twice_is_once(status, &attend, vec![shown.clone()]);
    }
    for status in [Status::Completed, Status::Cancelled] {
        an_item(status).when(attend.clone()).then([]);
    }
}

#[test]
fn a_conflict_of_patients_is_shown_on_whatever_is_not_cancelled() {
    let attend = Command::Attend(Attention::LinkConflict);
    let shown = updated(|it| it.attention = Some(vec![Attention::LinkConflict]));
    for status in [
        Status::Pending,
        Status::Claimed,
        Status::InProgress,
        Status::Completed,
    ] {
        twice_is_once(status, &attend, vec![shown.clone()]);
    }
    an_item(Status::Cancelled).when(attend).then([]);
}

#[test]
fn a_report_begins_a_claimed_item_and_its_cancellation_takes_that_back() {
    let begun = updated(|it| {
        it.status = Some(Status::InProgress);
        it.last_activity_at = Some(context().now);
    });
    twice_is_once(Status::Claimed, &Command::Begin, vec![begun]);
    twice_is_once(
        Status::InProgress,
        &Command::BackToClaimed,
        vec![moved(Status::Claimed)],
    );
    for status in [Status::Pending, Status::Completed, Status::Cancelled] {
        an_item(status).when(Command::Begin).then([]);
        an_item(status).when(Command::BackToClaimed).then([]);
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
