use super::*;

fn left() -> RelayCheckpoint {
    RelayCheckpoint {
        position: 10,
        hash: [1; 32],
        stream_created_ns: 5,
        first_sequence: 1,
        last_sequence: 10,
    }
}

fn seen(last_sequence: u64) -> Seen {
    Seen {
        created_ns: 5,
        first_sequence: 1,
        last_sequence,
        messages: last_sequence,
        limited: false,
    }
}

fn event(position: u64) -> Last {
    Last::Event {
        position,
        hash: [2; 32],
    }
}

#[test]
fn a_stream_that_is_as_it_was_left_goes_on_there() {
    assert_eq!(holds(&left(), &seen(10)), Ok(()));
    assert_eq!(without_last(Some(&left()), &seen(10)), Some(left()));
}

#[test]
fn a_new_stream_begins_at_the_beginning() {
    let begun = without_last(None, &seen(0)).unwrap();
    assert_eq!((begun.position, begun.last_sequence), (0, 0));
    assert_eq!(begun.stream_created_ns, 5);
}

#[test]
fn what_was_published_and_not_kept_is_caught_up_with() {
    assert_eq!(without_last(Some(&left()), &seen(13)), None);
    let moved = after_last(Some(&left()), &seen(13), event(13)).unwrap();
    assert_eq!((moved.position, moved.last_sequence), (13, 13));
    assert_eq!((moved.hash, moved.first_sequence), ([2; 32], 1));
}

#[test]
fn a_checkpoint_that_is_lost_is_found_again_in_the_stream() {
    assert_eq!(without_last(None, &seen(13)), None);
    let found = after_last(None, &seen(13), event(13)).unwrap();
    assert_eq!((found.position, found.last_sequence), (13, 13));
    let foreign = Err(Refused::ForeignMessage { sequence: 13 });
    assert_eq!(after_last(None, &seen(13), event(12)), foreign);
}

#[test]
fn another_stream_of_the_same_name_is_refused() {
    let recreated = Seen {
        created_ns: 6,
        ..seen(10)
    };
    let refused = Err(Refused::StreamRecreated { position: 10 });
    assert_eq!(holds(&left(), &recreated), refused);
}

#[test]
fn a_stream_that_forgot_what_it_acknowledged_is_refused() {
    let refused = Err(Refused::StreamWentBack {
        acknowledged: 10,
        last: 9,
    });
    assert_eq!(holds(&left(), &seen(9)), refused);
}

#[test]
fn what_no_limit_took_away_was_purged() {
    let purged = |limited| Seen {
        first_sequence: 8,
        messages: 3,
        limited,
        ..seen(10)
    };
    let refused = Err(Refused::StreamPurged {
        first_known: 1,
        missing: 7,
    });
    assert_eq!(holds(&left(), &purged(false)), refused);
    assert_eq!(holds(&left(), &purged(true)), Ok(()));
    let known = RelayCheckpoint {
        first_sequence: 8,
        ..left()
    };
    assert_eq!(holds(&known, &purged(false)), Ok(()));
}

#[test]
fn what_a_limit_took_away_before_it_was_seen_is_not_guessed() {
    let refused = Err(Refused::StreamEmptied { last: 13 });
    assert_eq!(after_last(Some(&left()), &seen(13), Last::Gone), refused);
    assert_eq!(after_last(None, &seen(13), Last::Gone), refused);
}

#[test]
fn somebody_elses_message_is_refused_wherever_it_stands() {
    let refused = Err(Refused::ForeignMessage { sequence: 13 });
    assert_eq!(after_last(Some(&left()), &seen(13), Last::Foreign), refused);
    assert_eq!(
        after_last(Some(&left()), &seen(13), event(12)),
        refused,
        "between"
    );
    assert_eq!(
        after_last(Some(&left()), &seen(13), event(9)),
        refused,
        "a repeat"
    );
}

#[test]
fn an_event_that_the_log_does_not_have_is_refused() {
    let unknown = Last::Unknown { position: 13 };
    let refused = Err(Refused::StreamAhead { position: 13 });
    assert_eq!(after_last(Some(&left()), &seen(13), unknown), refused);
}
