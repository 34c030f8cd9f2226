mod metadata;

use super::*;
use crate::given_when_then::{Given, context, given, minutes_from_now};
use crate::json::Json;
use crate::phi::MetadataObject;
use serde_json::json;
use uuid::Uuid;

fn phi(text: &str) -> PhiText {
    Phi::new(Text::parse(text).unwrap())
}

fn new_order() -> NewOrder {
    let accession_number = AccessionNumber::parse("ACC123456").unwrap();
    NewOrder {
        patient_id: Uuid::from_u128(7).into(),
        request: OrderDetails {
            encounter_id: None,
            episode_id: None,
            ordering_practitioner_id: None,
            ordering_department_id: None,
            imaging_procedure_id: Uuid::from_u128(8).into(),
            procedure_code: ProcedureCode::parse("CT_HEAD").unwrap(),
            procedure_name: Text::parse("CT head").unwrap(),
            modality_code: ModalityCode::parse("CT").unwrap(),
            priority: Priority::Stat,
            requested_at: context().now,
            fhir_service_request_id: OrderId::derive(context().tenant_id, &accession_number),
            accession_number,
        },
        phi: CreatedPhi {
            indication: phi("rule out stroke"),
            patient: None,
            metadata: None,
        },
    }
}

fn ids() -> (OrderId, PatientId) {
    let new = new_order();
    (new.request.fhir_service_request_id, new.patient_id)
}

fn created() -> Event {
    decide::create(new_order(), &context())
}

fn scheduled(slot: Option<u128>) -> Event {
    let (order_id, patient_id) = ids();
    let scheduled_slot_id = slot.map(|slot| Uuid::from_u128(slot).into());
    Event::Scheduled(Scheduled {
        order_id,
        patient_id,
        scheduled_slot_id,
    })
}

fn in_progress(performed_start_at: Timestamp) -> Event {
    let (order_id, patient_id) = ids();
    Event::InProgress(InProgress {
        order_id,
        patient_id,
        performed_start_at,
    })
}

fn completed(performed_start_at: Option<Timestamp>, performed_end_at: Timestamp) -> Event {
    let (order_id, patient_id) = ids();
    Event::Completed(Completed {
        order_id,
        patient_id,
        performed_start_at,
        performed_end_at,
    })
}

fn cancelled(reason: Option<&str>) -> Event {
    let (order_id, patient_id) = ids();
    let phi = reason.map(|reason| CancelledPhi {
        cancellation_reason: phi(reason),
    });
    Event::Cancelled(Cancelled {
        order_id,
        patient_id,
        phi,
    })
}

fn an_order(status: Status) -> Given<Order> {
    let now = context().now;
    given(match status {
        Status::Requested => vec![created()],
        Status::Scheduled => vec![created(), scheduled(None)],
        Status::InProgress => vec![created(), in_progress(now)],
        Status::Completed => vec![created(), completed(None, now)],
        Status::Cancelled => vec![created(), cancelled(Some("moved away"))],
    })
}

fn update(change: impl FnOnce(&mut Update)) -> Command {
    let mut update = Update::default();
    change(&mut update);
    Command::Update(Box::new(update))
}

fn to(status: Status) -> Command {
    update(|update| update.status = Some(status))
}

#[test]
fn is_created_once() {
    let create = || Command::Create(Box::new(new_order()));
    given::<Order>([]).when(create()).then([created()]);
    an_order(Status::Requested)
        .when(create())
        .refused(Error::AlreadyExists);
    given::<Order>([])
        .when(to(Status::Scheduled))
        .refused(Error::NotFound);
}

/// All pairs of current and requested status: the complete table of section 3 of the contract.
#[test]
fn moves_forward_only_and_never_out_of_a_final_status() {
    use Status::{Cancelled, Completed, InProgress, Requested, Scheduled};
    let now = context().now;
    let all = [Requested, Scheduled, InProgress, Completed, Cancelled];
    for from in all {
        for target in all {
            let when = an_order(from).when(to(target));
            if from == target {
                when.then([]);
            } else if from.is_final() {
                when.refused(Error::Final { status: from });
            } else if target < from {
                when.refused(Error::InvalidTransition { from, to: target });
            } else {
                let start = (from == InProgress).then_some(now);
                when.then([match target {
                    Requested => unreachable!("nothing is before requested"),
                    Scheduled => scheduled(None),
                    InProgress => in_progress(now),
                    Completed => completed(start, now),
                    Cancelled => cancelled(None),
                }]);
            }
        }
    }
}

#[test]
fn start_is_not_after_end() {
    let early = minutes_from_now(-30);
    let late = minutes_from_now(-10);
    let complete = |start, end| {
        update(|update| {
            update.status = Some(Status::Completed);
            update.performed_start_at = Change::from(start);
            update.performed_end_at = Change::from(end);
        })
    };
    an_order(Status::Scheduled)
        .when(complete(Some(early), Some(late)))
        .then([completed(Some(early), late)]);
    an_order(Status::Scheduled)
        .when(complete(Some(early), Some(early)))
        .then([completed(Some(early), early)]);
    an_order(Status::Scheduled)
        .when(complete(Some(late), Some(early)))
        .refused(Error::StartAfterEnd);
    an_order(Status::InProgress)
        .when(complete(None, Some(early)))
        .refused(Error::StartAfterEnd);
    an_order(Status::Requested)
        .when(complete(Some(minutes_from_now(1)), None))
        .refused(Error::StartAfterEnd);
}

#[test]
fn times_and_reasons_go_with_their_status() {
    let now = context().now;
    an_order(Status::Requested)
        .when(update(|update| {
            update.performed_start_at = Change::Set(now)
        }))
        .refused(Error::StartWithoutProgress);
    an_order(Status::InProgress)
        .when(update(|update| update.performed_end_at = Change::Set(now)))
        .refused(Error::EndWithoutCompletion);
    an_order(Status::Requested)
        .when(update(|update| {
            update.cancellation_reason = Change::Set(phi("no"))
        }))
        .refused(Error::ReasonWithoutCancellation);
}

#[test]
fn details_change_while_it_is_open() {
    let (order_id, patient_id) = ids();
    let slot = Uuid::from_u128(9).into();
    let rebooked = Event::DetailsUpdated(DetailsUpdated {
        order_id,
        patient_id,
        scheduled_slot_id: Change::Set(slot),
        performed_start_at: None,
        phi: None,
    });
    let rebook = || update(|update| update.scheduled_slot_id = Change::Set(slot));
    an_order(Status::Scheduled)
        .when(rebook())
        .then([rebooked.clone()]);
    an_order(Status::Completed)
        .when(rebook())
        .refused(Error::Final {
            status: Status::Completed,
        });
    given::<Order>([created(), rebooked.clone()])
        .when(rebook())
        .then([]);
    let start_elsewhere = update(|update| {
        update.status = Some(Status::InProgress);
        update.scheduled_slot_id = Change::Set(slot);
    });
    an_order(Status::Scheduled)
        .when(start_elsewhere)
        .then([rebooked, in_progress(context().now)]);
}

#[test]
fn slot_and_metadata_can_be_taken_away() {
    let (order_id, patient_id) = ids();
    let taken_away = |slot, metadata| {
        Event::DetailsUpdated(DetailsUpdated {
            order_id,
            patient_id,
            scheduled_slot_id: slot,
            performed_start_at: None,
            phi: metadata,
        })
    };
    let clear_slot = || update(|asked| asked.scheduled_slot_id = Change::Clear);
    given::<Order>([created(), scheduled(Some(9))])
        .when(clear_slot())
        .then([taken_away(Change::Clear, None)]);
    an_order(Status::Requested).when(clear_slot()).then([]);

    let object = MetadataObject::parse(&Json::from_serializable(&json!({})).unwrap()).unwrap();
    let with_metadata = || {
        let metadata = Change::Set(Phi::new(object.clone()));
        taken_away(Change::Keep, Some(DetailsPhi { metadata }))
    };
    let without = DetailsPhi {
        metadata: Change::Clear,
    };
    let without = taken_away(Change::Keep, Some(without));
    given::<Order>([created(), with_metadata()])
        .when(update(|asked| asked.metadata = Change::Clear))
        .then([without.clone()]);
    let order = given::<Order>([created(), with_metadata(), without]).state();
    assert_eq!(order.phi.unwrap().metadata, None);
}

#[test]
fn the_times_of_an_order_cannot_be_taken_away() {
    let no_start = || update(|asked| asked.performed_start_at = Change::Clear);
    an_order(Status::InProgress)
        .when(no_start())
        .refused(Error::StartTakenAway);
    an_order(Status::Requested).when(no_start()).then([]);
    let no_end = update(|asked| {
        asked.status = Some(Status::Completed);
        asked.performed_end_at = Change::Clear;
    });
    an_order(Status::Scheduled)
        .when(no_end)
        .refused(Error::EndTakenAway);
}

#[test]
fn a_slot_given_with_scheduled_is_told_by_the_step() {
    let schedule = update(|update| {
        update.status = Some(Status::Scheduled);
        update.scheduled_slot_id = Change::Set(Uuid::from_u128(9).into());
    });
    an_order(Status::Requested)
        .when(schedule)
        .then([scheduled(Some(9))]);
}

#[test]
fn a_start_is_corrected_while_it_is_in_progress() {
    let early = minutes_from_now(-30);
    let order = given::<Order>([
        created(),
        in_progress(context().now),
        Event::DetailsUpdated(DetailsUpdated {
            order_id: ids().0,
            patient_id: ids().1,
            scheduled_slot_id: Change::Keep,
            performed_start_at: Some(early),
            phi: None,
        }),
    ]);
    assert_eq!(
        order.state().progress,
        Lifecycle::InProgress {
            performed_start_at: early
        }
    );
}

#[test]
fn a_reason_is_kept_and_may_be_told_again_but_not_changed() {
    let cancel = |reason| {
        update(|update| {
            update.status = Some(Status::Cancelled);
            update.cancellation_reason = Change::Set(phi(reason));
        })
    };
    an_order(Status::Requested)
        .when(cancel("moved away"))
        .then([cancelled(Some("moved away"))]);
    an_order(Status::Cancelled)
        .when(cancel("moved away"))
        .then([]);
    an_order(Status::Cancelled)
        .when(cancel("something else"))
        .refused(Error::Final {
            status: Status::Cancelled,
        });
    let state = an_order(Status::Cancelled).state();
    assert_eq!(
        state.phi.unwrap().cancellation_reason,
        Some(phi("moved away"))
    );
}

#[test]
fn works_on_when_its_phi_is_erased() {
    let mut erased = created();
    if let Event::Created(created) = &mut erased {
        created.phi = None;
    }
    let state = given::<Order>([erased.clone(), cancelled(Some("gone"))]).state();
    assert_eq!(state.phi, None);
    given::<Order>([erased])
        .when(to(Status::Scheduled))
        .then([scheduled(None)]);
}

#[test]
fn a_state_survives_the_trip_through_its_document() {
    use crate::aggregate::{EventHeader, Versioned};
    use crate::growth::Size;
    let standing = EventHeader {
        stream_id: ids().0.into(),
        tenant_id: context().tenant_id,
        version: 1,
        recorded_at: context().now,
        size: Size::default(),
    };
    for event in [
        in_progress(context().now),
        completed(None, context().now),
        cancelled(None),
    ] {
        let first = Versioned::<Order>::evolve(None, created(), standing).unwrap();
        let second = Versioned::evolve(Some(first), event, standing).unwrap();
        let document = serde_json::to_string(&second).unwrap();
        assert!(!document.contains("stroke"), "{document}");
        let mut back: Versioned<Order> = serde_json::from_str(&document).unwrap();
        back.state.phi = second.state.phi.clone();
        assert_eq!(back, second);
    }
}
