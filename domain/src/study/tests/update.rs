//! Manual changes, up to archiving.

use super::*;

#[test]
fn the_larger_of_stated_and_listed_counts() {
    with_an_image()
        .when(update(|update| update.number_of_instances = Some(150)))
        .then([updated(|updated| updated.number_of_instances = Some(150))]);
    with_an_image()
        .when(update(|update| update.number_of_instances = Some(0)))
        .then([]);
    with_an_image()
        .when(update(|update| update.number_of_series = Some(3)))
        .then([updated(|updated| updated.number_of_series = Some(3))]);
}

#[test]
fn is_archived_once_and_never_opened_again() {
    let archive = || update(|update| update.status = Some(Status::Archived));
    past([available()]).when(archive()).then([archived()]);
    past([available(), archived()]).when(archive()).then([]);
    let reopen = update(|update| update.status = Some(Status::Available));
    past([available(), archived()])
        .when(reopen)
        .refused(Error::Archived);
    let change = update(|update| update.number_of_series = Some(3));
    past([available(), archived()])
        .when(change)
        .refused(Error::Archived);
}

#[test]
fn a_link_that_is_to_be_settled_is_settled_when_it_is_archived_too() {
    let settle =
        update(|update| update.order = Change::Set(ReferencedOrder::SamePatient(order(2))));
    past([available(), linked(LinkKind::Conflict, 1), archived()])
        .when(settle)
        .then([linked(LinkKind::Linked, 2)]);
}

#[test]
fn its_end_and_its_link_can_be_taken_away() {
    let url = HttpUrl::parse("https://viewer.example/1").unwrap();
    let known = updated(|updated| {
        updated.ended_at = Change::Set(minutes_from_now(5));
        updated.viewer_url = Change::Set(url.clone());
    });
    let clear = || {
        update(|asked| {
            asked.ended_at = Change::Clear;
            asked.viewer_url = Change::Clear;
        })
    };
    let cleared = updated(|updated| {
        updated.ended_at = Change::Clear;
        updated.viewer_url = Change::Clear;
    });
    past([available()]).when(clear()).then([]);
    past([available(), known.clone()])
        .when(clear())
        .then([cleared.clone()]);
    let state = past([available(), known, cleared]).state();
    assert_eq!((state.details.ended_at, state.viewer_url), (None, None));
}

#[test]
fn an_end_before_the_start_is_refused() {
    let started = updated(|updated| updated.started_at = Some(minutes_from_now(0)));
    past([available(), started])
        .when(update(|update| {
            update.ended_at = Change::Set(minutes_from_now(-1))
        }))
        .refused(Error::StartAfterEnd);
}
