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

fn seen(last_sequence: u64) -> StreamSnapshot {
    StreamSnapshot {
        created_ns: 5,
        first_sequence: 1,
        last_sequence,
        messages: last_sequence,
        limited: false,
    }
}

fn event(position: u64) -> LastMessage {
    LastMessage::Event {
        position,
        hash: [2; 32],
    }
}

#[test]
fn resumes_at_checkpoint_when_stream_matches() {
    assert_eq!(check_continuity(&left(), &seen(10)), Ok(()));
    assert_eq!(
        resume_from_checkpoint(Some(&left()), &seen(10)),
        Some(left())
    );
}

#[test]
fn a_new_stream_begins_at_the_beginning() {
    let begun = resume_from_checkpoint(None, &seen(0)).unwrap();
    assert_eq!((begun.position, begun.last_sequence), (0, 0));
    assert_eq!(begun.stream_created_ns, 5);
}

#[test]
fn what_was_published_and_not_kept_is_caught_up_with() {
    assert_eq!(resume_from_checkpoint(Some(&left()), &seen(13)), None);
    let moved = resume_after_last_message(Some(&left()), &seen(13), event(13)).unwrap();
    assert_eq!((moved.position, moved.last_sequence), (13, 13));
    assert_eq!((moved.hash, moved.first_sequence), ([2; 32], 1));
}

#[test]
fn a_checkpoint_that_is_lost_is_found_again_in_the_stream() {
    assert_eq!(resume_from_checkpoint(None, &seen(13)), None);
    let found = resume_after_last_message(None, &seen(13), event(13)).unwrap();
    assert_eq!((found.position, found.last_sequence), (13, 13));
    let foreign = Err(HaltReason::ForeignMessage { sequence: 13 });
    assert_eq!(
        resume_after_last_message(None, &seen(13), event(12)),
        foreign
    );
}

#[test]
fn another_stream_of_the_same_name_is_refused() {
    let recreated = StreamSnapshot {
        created_ns: 6,
        ..seen(10)
    };
    let refused = Err(HaltReason::StreamRecreated { position: 10 });
    assert_eq!(check_continuity(&left(), &recreated), refused);
}

#[test]
fn a_stream_that_forgot_what_it_acknowledged_is_refused() {
    let refused = Err(HaltReason::StreamWentBack {
        acknowledged: 10,
        last: 9,
    });
    assert_eq!(check_continuity(&left(), &seen(9)), refused);
}

#[test]
fn what_no_limit_took_away_was_purged() {
    let purged = |limited| StreamSnapshot {
        first_sequence: 8,
        messages: 3,
        limited,
        ..seen(10)
    };
    let refused = Err(HaltReason::StreamPurged {
        first_known: 1,
        missing: 7,
    });
    assert_eq!(check_continuity(&left(), &purged(false)), refused);
    assert_eq!(check_continuity(&left(), &purged(true)), Ok(()));
    let known = RelayCheckpoint {
        first_sequence: 8,
        ..left()
    };
    assert_eq!(check_continuity(&known, &purged(false)), Ok(()));
}

#[test]
fn what_a_limit_took_away_before_it_was_seen_is_not_guessed() {
    let refused = Err(HaltReason::StreamEmptied { last: 13 });
    assert_eq!(
        resume_after_last_message(Some(&left()), &seen(13), LastMessage::Deleted),
        refused
    );
    assert_eq!(
        resume_after_last_message(None, &seen(13), LastMessage::Deleted),
        refused
    );
}

#[test]
fn somebody_elses_message_is_refused_wherever_it_stands() {
    let refused = Err(HaltReason::ForeignMessage { sequence: 13 });
    assert_eq!(
        resume_after_last_message(Some(&left()), &seen(13), LastMessage::Foreign),
        refused
    );
    assert_eq!(
        resume_after_last_message(Some(&left()), &seen(13), event(12)),
        refused,
        "between"
    );
    assert_eq!(
        resume_after_last_message(Some(&left()), &seen(13), event(9)),
        refused,
        "a repeat"
    );
}

#[test]
fn an_event_that_the_log_does_not_have_is_refused() {
    let unknown = LastMessage::UnknownPosition { position: 13 };
    let refused = Err(HaltReason::StreamAhead { position: 13 });
    assert_eq!(
        resume_after_last_message(Some(&left()), &seen(13), unknown),
        refused
    );
}
