//! Syncs from a PACS.

use super::*;

mod first_sync {
    use super::*;

    #[test]
    fn is_available_linked_and_filled_in_this_order() {
        let command = sync(|sync| {
            sync.order = Some(ReferencedOrder::SamePatient(order(1)));
            sync.series = vec![synced_series("1.1", Some(3), &["1.1.1", "1.1.2"])];
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
        let command = sync(|sync| sync.order = Some(ReferencedOrder::OtherPatient(order(1))));
        past([])
            .when(command)
            .then([available(), linked(LinkKind::Conflict, 1)]);
    }

    #[test]
    fn an_end_before_the_start_is_left_out_and_the_images_are_taken() {
        let command = sync(|sync| {
            sync.details.started_at = Some(minutes_from_now(1));
            sync.details.ended_at = Some(minutes_from_now(0));
            sync.series = vec![synced_series("1.1", None, &["1.1.1"])];
        });
        let events = Study::decide(None, command, &context()).unwrap();
        let state = past(events).state();
        assert_eq!(state.details.started_at, Some(minutes_from_now(1)));
        assert_eq!(state.details.ended_at, None);
        assert_eq!(state.number_of_instances, 1);
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

mod repeated_sync {
    use super::*;

    #[test]
    fn nothing_new_is_nothing_at_all() {
        past([available()]).when(telling(vec![])).then([]);
        with_an_image()
            .when(telling(vec![synced_series("1.1", Some(1), &["1.1.1"])]))
            .then([]);
        let elsewhere = sync(|sync| {
            sync.details.pacs_endpoint_code = PacsEndpointCode::parse("OTHER").unwrap();
        });
        past([available()]).when(elsewhere).then([]);
    }

    #[test]
    fn what_changed_is_updated_and_what_is_left_out_stays() {
        let text = || Text::parse("CT head").ok();
        let update = updated(|updated| {
            updated.description = text();
            updated.ended_at = Change::Set(minutes_from_now(5));
        });
        let command = sync(|sync| {
            sync.details.description = text();
            sync.details.ended_at = Some(minutes_from_now(5));
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
    fn a_time_that_cannot_be_right_is_left_out_and_the_images_are_taken() {
        let known = updated(|updated| {
            updated.started_at = Some(minutes_from_now(0));
            updated.ended_at = Change::Set(minutes_from_now(10));
        });
        let cases = [
            // Reported times; known times after the sync.
            ((None, Some(-5)), (0, 10)),
            ((Some(20), None), (0, 10)),
            ((Some(20), Some(15)), (0, 10)),
            ((Some(5), Some(-5)), (5, 10)),
            ((Some(20), Some(30)), (20, 30)),
        ];
        for ((start, end), (start_after, end_after)) in cases {
            let command = sync(|sync| {
                sync.details.started_at = start.map(minutes_from_now);
                sync.details.ended_at = end.map(minutes_from_now);
                sync.series = vec![synced_series("1.9", None, &["1.9.1"])];
            });
            let before = past([available(), known.clone()]).state();
            let events = Study::decide(Some(&before), command, &context()).unwrap();
            let history = [vec![available(), known.clone()], events].concat();
            let state = past(history).state();
            let times = (state.details.started_at, state.details.ended_at);
            let expected = (minutes_from_now(start_after), minutes_from_now(end_after));
            assert_eq!(
                times,
                (Some(expected.0), Some(expected.1)),
                "{start:?} {end:?}"
            );
            assert_eq!(state.number_of_instances, 1, "{start:?} {end:?}");
        }
    }

    #[test]
    fn part_of_a_patient_is_laid_over_what_is_known() {
        let text = |text: &str| Some(PhiText::new(Text::parse(text).unwrap()));
        let patient = |mrn: Option<PhiText>, family_name: Option<PhiText>| Patient {
            mrn,
            family_name,
            given_name: None,
            birth_date: None,
            sex: Some(Phi::new(Sex::Female)),
        };
        let of_patient = |patient: Patient| sync(|sync| sync.patient = Some(patient));
        let first = of_patient(patient(text("M1"), text("Roe")));
        let mut history = Study::decide(None, first, &context()).unwrap();
        let nothing = Patient {
            sex: None,
            ..patient(None, None)
        };
        past(history.clone()).when(of_patient(nothing)).then([]);
        let part = of_patient(patient(text("M2"), None));
        let state = past(history.clone()).state();
        history.extend(Study::decide(Some(&state), part, &context()).unwrap());
        let known = past(history).state().phi.unwrap().patient;
        assert_eq!(known, Some(patient(text("M2"), text("Roe"))));
    }

    #[test]
    fn only_what_is_new_of_series_and_instances_is_added() {
        let late = vec![
            synced_series("1.1", None, &["1.1.1", "1.1.2"]),
            synced_series("1.2", Some(9), &["1.2.1"]),
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
                            instance_id: crate::ids::InstanceId::derive(
                                series_id(series),
                                &uid(sop),
                            ),
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
            synced_series("1.1", None, &["1.1.1", "1.1.1"]),
            synced_series("1.1", Some(2), &["1.1.1", "1.1.2"]),
        ];
        past([available()]).when(telling(twice)).then([
            series_added("1.1", Some(2), (1, 2)),
            instances_added("1.1", 2, &["1.1.1", "1.1.2"], 2),
        ]);
    }

    #[test]
    fn a_series_of_which_something_changed_is_updated() {
        let command = telling(vec![synced_series("1.1", Some(4), &[])]);
        let change = SeriesChange {
            series_id: series_id("1.1"),
            series_number: None,
            body_part: None,
            modality_code: None,
            number_of_instances: Some(4),
            description: None,
        };
        let update = updated(|updated| {
            updated.series = vec![change];
            updated.number_of_instances = Some(4);
        });
        with_an_image().when(command.clone()).then([update.clone()]);
        let after = Study::evolve(Some(with_an_image().state()), update).unwrap();
        assert_eq!(after.number_of_instances, 4);
        assert_eq!(Study::decide(Some(&after), command, &context()), Ok(vec![]));
    }

    #[test]
    fn another_patient_is_refused() {
        let command = sync(|sync| sync.patient_id = Uuid::from_u128(8).into());
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
        let command = sync(|sync| sync.patient = Some(patient.clone()));
        past([available()])
            .when(command.clone())
            .then([updated(|updated| {
                updated.phi = Some(UpdatedPhi { patient });
            })]);
        let mut erased = past([available()]).state();
        erased.phi = None;
        assert_eq!(
            Study::decide(Some(&erased), command, &context()),
            Ok(vec![])
        );
    }
}
