use super::*;
use crate::given::{Given, context, given, minutes_from_now};
use crate::phi::{PhiText, Sex};
use uuid::Uuid;

const STUDY: &str = "1.2.840.1";

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn study_id() -> StudyId {
    StudyId::of(context().tenant_id, &uid(STUDY))
}

fn series_id(series: &str) -> SeriesId {
    SeriesId::of(study_id(), &uid(series))
}

fn patient_id() -> PatientId {
    Uuid::from_u128(7).into()
}

fn order(n: u128) -> OrderId {
    Uuid::from_u128(n).into()
}

fn details() -> Details {
    let code = PacsEndpointCode::parse("MAIN").unwrap();
    Details {
        pacs_endpoint_id: PacsEndpointId::of(context().tenant_id, &code),
        pacs_endpoint_code: code,
        study_instance_uid: uid(STUDY),
        accession_number: None,
        modality_code: ModalityCode::parse("CT").unwrap(),
        body_part: None,
        description: None,
        started_at: None,
        ended_at: None,
    }
}

fn told() -> Sync {
    Sync {
        patient_id: patient_id(),
        details: details(),
        patient: None,
        order: None,
        series: Vec::new(),
    }
}

fn facts(series: &str, stated: Option<u32>) -> SeriesFacts {
    SeriesFacts {
        series_instance_uid: uid(series),
        series_number: None,
        body_part: None,
        modality_code: None,
        number_of_instances: stated,
        description: None,
    }
}

fn instance(sop: &str) -> InstanceFacts {
    InstanceFacts {
        sop_instance_uid: uid(sop),
        sop_class_uid: None,
        instance_number: None,
    }
}

fn with(series: &str, stated: Option<u32>, instances: &[&str]) -> SyncedSeries {
    SyncedSeries {
        facts: facts(series, stated),
        instances: instances.iter().map(|it| instance(it)).collect(),
    }
}

fn telling(series: Vec<SyncedSeries>) -> Command {
    Command::Sync(Box::new(Sync { series, ..told() }))
}

fn sync(change: impl FnOnce(&mut Sync)) -> Command {
    let mut sync = told();
    change(&mut sync);
    Command::Sync(Box::new(sync))
}

fn update(change: impl FnOnce(&mut Update)) -> Command {
    let mut update = Update::default();
    change(&mut update);
    Command::Update(Box::new(update))
}

fn available() -> Event {
    Event::Available(Box::new(Available {
        study_id: study_id(),
        patient_id: patient_id(),
        details: details(),
        status: Status::Available,
        phi: Some(AvailablePhi::default()),
    }))
}

fn series_added(series: &str, stated: Option<u32>, totals: (u32, u32)) -> Event {
    Event::SeriesAdded(SeriesAdded {
        study_id: study_id(),
        patient_id: patient_id(),
        series: vec![AddedSeries {
            series_id: series_id(series),
            facts: facts(series, stated),
        }],
        number_of_series: totals.0,
        number_of_instances: totals.1,
    })
}

fn instances_added(series: &str, number: u32, instances: &[&str], total: u32) -> Event {
    let id = series_id(series);
    let added = instances.iter().map(|it| AddedInstance {
        instance_id: crate::ids::InstanceId::of(id, &uid(it)),
        sop_instance_uid: uid(it),
        sop_class_uid: None,
        instance_number: None,
    });
    Event::InstancesAdded(InstancesAdded {
        study_id: study_id(),
        patient_id: patient_id(),
        series: vec![SeriesInstances {
            series_id: id,
            number_of_instances: number,
            instances: added.collect(),
        }],
        number_of_instances: total,
    })
}

fn linked(link: LinkKind, n: u128) -> Event {
    Event::Linked(Linked {
        study_id: study_id(),
        patient_id: patient_id(),
        link,
        imaging_order_id: order(n),
    })
}

fn updated(change: impl FnOnce(&mut Updated)) -> Event {
    let mut updated = Updated {
        study_id: study_id(),
        patient_id: patient_id(),
        modality_code: None,
        accession_number: None,
        body_part: None,
        description: None,
        started_at: None,
        ended_at: None,
        number_of_series: None,
        number_of_instances: None,
        viewer_url: None,
        series: Vec::new(),
        phi: None,
    };
    change(&mut updated);
    Event::Updated(Box::new(updated))
}

fn archived() -> Event {
    Event::Archived(Archived {
        study_id: study_id(),
        patient_id: patient_id(),
    })
}

/// A study of which this is known.
fn past(events: impl IntoIterator<Item = Event>) -> Given<Study> {
    given(events)
}

/// One series "1.1" with instance "1.1.1".
fn with_an_image() -> Given<Study> {
    past([
        available(),
        series_added("1.1", None, (1, 0)),
        instances_added("1.1", 1, &["1.1.1"], 1),
    ])
}

mod when_it_is_told_of_for_the_first_time {
    use super::*;

    #[test]
    fn is_available_linked_and_filled_in_this_order() {
        let command = sync(|it| {
            it.order = Some(NamedOrder::SamePatient(order(1)));
            it.series = vec![with("1.1", Some(3), &["1.1.1", "1.1.2"])];
        });
        past([]).when(command).then([
            available(),
            linked(LinkKind::Linked, 1),
            series_added("1.1", Some(3), (1, 3)),
            instances_added("1.1", 3, &["1.1.1", "1.1.2"], 3),
        ]);
    }

    #[test]
    fn an_order_of_another_patient_is_a_conflict() {
        let command = sync(|it| it.order = Some(NamedOrder::OtherPatient(order(1))));
        past([])
            .when(command)
            .then([available(), linked(LinkKind::Conflict, 1)]);
    }

    #[test]
    fn start_is_not_after_end() {
        let command = sync(|it| {
            it.details.started_at = Some(minutes_from_now(1));
            it.details.ended_at = Some(minutes_from_now(0));
        });
        past([]).when(command).refused(Error::StartAfterEnd);
    }

    #[test]
    fn nothing_else_may_be_asked_before() {
        let instance = instance("1.1.1");
        let commands = [
            Command::AddSeries(Box::new(facts("1.1", None))),
            Command::AddInstance {
                series_id: series_id("1.1"),
                instance,
            },
            update(|_| ()),
            Command::Link { order_id: order(1) },
            Command::MarkConflict { order_id: order(1) },
        ];
        for command in commands {
            past([]).when(command).refused(Error::NotFound);
        }
    }
}

mod when_it_is_told_of_again {
    use super::*;

    #[test]
    fn nothing_new_is_nothing_at_all() {
        past([available()]).when(telling(vec![])).then([]);
        with_an_image()
            .when(telling(vec![with("1.1", Some(1), &["1.1.1"])]))
            .then([]);
        let elsewhere = sync(|it| {
            it.details.pacs_endpoint_code = PacsEndpointCode::parse("OTHER").unwrap();
        });
        past([available()]).when(elsewhere).then([]);
    }

    #[test]
    fn what_changed_is_updated_and_what_is_left_out_stays() {
        let text = || Text::parse("CT head").ok();
        let update = updated(|it| {
            it.description = text();
            it.ended_at = Some(minutes_from_now(5));
        });
        let command = sync(|it| {
            it.details.description = text();
            it.details.ended_at = Some(minutes_from_now(5));
        });
        past([available()])
            .when(command.clone())
            .then([update.clone()]);
        past([available(), update.clone()]).when(command).then([]);
        let state = past([available(), update]).state();
        assert_eq!(state.details.description, text());
        assert_eq!(state.details.modality_code, details().modality_code);
    }

    #[test]
    fn only_what_is_new_of_series_and_instances_is_added() {
        let late = vec![
            with("1.1", None, &["1.1.1", "1.1.2"]),
            with("1.2", Some(9), &["1.2.1"]),
        ];
        let events = Study::decide(Some(&with_an_image().state()), telling(late), &context());
        let expected = [
            series_added("1.2", Some(9), (2, 10)),
            Event::InstancesAdded(InstancesAdded {
                study_id: study_id(),
                patient_id: patient_id(),
                series: [("1.1", 2, "1.1.2"), ("1.2", 9, "1.2.1")]
                    .map(|(series, number, sop)| SeriesInstances {
                        series_id: series_id(series),
                        number_of_instances: number,
                        instances: vec![AddedInstance {
                            instance_id: crate::ids::InstanceId::of(series_id(series), &uid(sop)),
                            sop_instance_uid: uid(sop),
                            sop_class_uid: None,
                            instance_number: None,
                        }],
                    })
                    .into(),
                number_of_instances: 11,
            }),
        ];
        assert_eq!(events.unwrap(), expected);
    }

    #[test]
    fn the_same_series_or_instance_twice_in_one_sync_is_one() {
        let twice = vec![
            with("1.1", None, &["1.1.1", "1.1.1"]),
            with("1.1", Some(2), &["1.1.1", "1.1.2"]),
        ];
        past([available()]).when(telling(twice)).then([
            series_added("1.1", Some(2), (1, 2)),
            instances_added("1.1", 2, &["1.1.1", "1.1.2"], 2),
        ]);
    }

    #[test]
    fn a_series_of_which_something_changed_is_updated() {
        let command = telling(vec![with("1.1", Some(4), &[])]);
        let change = SeriesChange {
            series_id: series_id("1.1"),
            series_number: None,
            body_part: None,
            modality_code: None,
            number_of_instances: Some(4),
            description: None,
        };
        let update = updated(|it| {
            it.series = vec![change];
            it.number_of_instances = Some(4);
        });
        with_an_image().when(command.clone()).then([update.clone()]);
        let after = Study::evolve(Some(with_an_image().state()), update).unwrap();
        assert_eq!(after.number_of_instances, 4);
        assert_eq!(Study::decide(Some(&after), command, &context()), Ok(vec![]));
    }

    #[test]
    fn another_patient_is_refused() {
        let command = sync(|it| it.patient_id = Uuid::from_u128(8).into());
        past([available()])
            .when(command)
            .refused(Error::OtherPatient);
    }

    #[test]
    fn an_archived_one_is_refused() {
        past([available(), archived()])
            .when(telling(vec![]))
            .refused(Error::Archived);
    }

    #[test]
    fn a_patients_name_that_changed_is_sealed_anew_and_an_erased_one_stays_erased() {
        let name = |text: &str| PhiText::new(Text::parse(text).unwrap());
        let patient = Patient {
            mrn: None,
            family_name: Some(name("Roe")),
            given_name: None,
            birth_date: None,
            sex: Some(Phi::new(Sex::Female)),
        };
        let command = sync(|it| it.patient = Some(patient.clone()));
        past([available()])
            .when(command.clone())
            .then([updated(|it| {
                it.phi = Some(UpdatedPhi { patient });
            })]);
        let mut erased = past([available()]).state();
        erased.phi = None;
        assert_eq!(
            Study::decide(Some(&erased), command, &context()),
            Ok(vec![])
        );
    }
}

mod when_many_images_come_at_once {
    use super::*;
    use crate::aggregate::DomainEvent as _;

    #[test]
    fn each_event_is_below_256_kib_and_every_image_is_in_one() {
        let long = |series: usize, n: usize| {
            let uid_of = format!("1.2.840.113619.2.55.3.604688119.868.{series}.{n}");
            InstanceFacts {
                sop_class_uid: Some(uid("1.2.840.10008.5.1.4.1.1.2")),
                instance_number: i32::try_from(n).ok(),
                ..instance(&uid_of)
            }
        };
        let series = (0..5).map(|series| SyncedSeries {
            facts: facts(&format!("1.1.{series}"), None),
            instances: (0..1000).map(|n| long(series, n)).collect(),
        });
        let events = Study::decide(None, telling(series.collect()), &context()).unwrap();
        for event in &events {
            assert!(event.payload().len() < 250_000, "{}", event.payload().len());
        }
        let state = past(events).state();
        assert_eq!(
            (state.number_of_series, state.number_of_instances),
            (5, 5000)
        );
        assert_eq!(state.content.number_of_instances(), 5000);
    }

    #[test]
    fn a_thousand_series_of_one_image_fit_too() {
        let series = (0..1000).map(|n| {
            let (series, sop) = (format!("1.1.{n}"), format!("1.2.{n}"));
            with(&series, None, &[&sop])
        });
        let events = Study::decide(None, telling(series.collect()), &context()).unwrap();
        for event in &events {
            assert!(event.payload().len() < 250_000, "{}", event.payload().len());
        }
        assert_eq!(past(events).state().number_of_instances, 1000);
    }
}

mod when_one_series_or_instance_is_added {
    use super::*;

    fn add(series: &str, sop: &str) -> Command {
        Command::AddInstance {
            series_id: series_id(series),
            instance: instance(sop),
        }
    }

    #[test]
    fn what_is_new_is_added() {
        with_an_image()
            .when(Command::AddSeries(Box::new(facts("1.2", Some(2)))))
            .then([series_added("1.2", Some(2), (2, 3))]);
        with_an_image()
            .when(add("1.1", "1.1.2"))
            .then([instances_added("1.1", 2, &["1.1.2"], 2)]);
    }

    #[test]
    fn what_is_known_is_refused() {
        with_an_image()
            .when(Command::AddSeries(Box::new(facts("1.1", None))))
            .refused(Error::SeriesExists);
        with_an_image()
            .when(add("1.1", "1.1.1"))
            .refused(Error::InstanceExists);
        with_an_image()
            .when(add("1.9", "1.9.1"))
            .refused(Error::NoSuchSeries);
    }

    #[test]
    fn nothing_comes_to_an_archived_study() {
        let put_away = || past([available(), series_added("1.1", None, (1, 0)), archived()]);
        let series = Command::AddSeries(Box::new(facts("1.2", None)));
        put_away().when(series).refused(Error::Archived);
        put_away()
            .when(add("1.1", "1.1.1"))
            .refused(Error::Archived);
    }
}

mod when_it_is_linked {
    use super::*;

    const NONE: &[Event] = &[];

    /// What stands, what the system finds, what comes of it.
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
            .when(update(|it| {
                it.order = Some(NamedOrder::SamePatient(order(2)))
            }))
            .then([linked(LinkKind::Linked, 2)]);
        in_conflict()
            .when(update(|it| {
                it.order = Some(NamedOrder::OtherPatient(order(2)))
            }))
            .refused(Error::OrderOfOtherPatient);
    }

    #[test]
    fn a_person_may_link_it_with_another_order() {
        let linked_with_one = || past([available(), linked(LinkKind::Linked, 1)]);
        let name = |n| update(|it| it.order = Some(NamedOrder::SamePatient(order(n))));
        linked_with_one().when(name(1)).then([]);
        linked_with_one()
            .when(name(2))
            .then([linked(LinkKind::Linked, 2)]);
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
}

mod when_it_is_updated {
    use super::*;

    #[test]
    fn the_larger_of_stated_and_listed_counts() {
        with_an_image()
            .when(update(|it| it.number_of_instances = Some(150)))
            .then([updated(|it| it.number_of_instances = Some(150))]);
        with_an_image()
            .when(update(|it| it.number_of_instances = Some(0)))
            .then([]);
        with_an_image()
            .when(update(|it| it.number_of_series = Some(3)))
            .then([updated(|it| it.number_of_series = Some(3))]);
    }

    #[test]
    fn is_archived_once_and_never_opened_again() {
        let archive = || update(|it| it.status = Some(Status::Archived));
        past([available()]).when(archive()).then([archived()]);
        past([available(), archived()]).when(archive()).then([]);
        let reopen = update(|it| it.status = Some(Status::Available));
        past([available(), archived()])
            .when(reopen)
            .refused(Error::Archived);
        let change = update(|it| it.number_of_series = Some(3));
        past([available(), archived()])
            .when(change)
            .refused(Error::Archived);
    }

    #[test]
    fn a_link_that_is_to_be_settled_is_settled_when_it_is_archived_too() {
        let settle = update(|it| it.order = Some(NamedOrder::SamePatient(order(2))));
        past([available(), linked(LinkKind::Conflict, 1), archived()])
            .when(settle)
            .then([linked(LinkKind::Linked, 2)]);
    }

    #[test]
    fn an_end_before_the_start_is_refused() {
        let started = updated(|it| it.started_at = Some(minutes_from_now(0)));
        past([available(), started])
            .when(update(|it| it.ended_at = Some(minutes_from_now(-1))))
            .refused(Error::StartAfterEnd);
    }
}

/// The row of a read model folds from its document, which knows nothing of series and instances.
#[test]
fn the_document_after_every_event_is_that_of_the_whole_fold() {
    let history = [
        available(),
        linked(LinkKind::Linked, 1),
        series_added("1.1", Some(3), (1, 3)),
        instances_added("1.1", 3, &["1.1.1"], 3),
        updated(|it| it.number_of_instances = Some(12)),
        archived(),
    ];
    let mut document: Option<Value> = None;
    for (n, event) in history.iter().enumerate() {
        let before = document.map(|it| serde_json::from_value(it).unwrap());
        let after = Study::evolve(before, event.clone()).unwrap();
        let whole = past(history[..=n].to_vec()).state();
        let shown = serde_json::to_value(&after).unwrap();
        assert_eq!(shown, serde_json::to_value(&whole).unwrap());
        document = Some(shown);
    }
}
