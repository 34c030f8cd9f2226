//! Growth of series and instances.

use super::*;

mod bulk_additions {
    use super::*;
    use crate::aggregate::DomainEvent as _;

    #[test]
    fn each_event_is_below_256_kib_and_every_image_is_in_one() {
        let long = |series: usize, n: usize| {
            let uid_of = format!("1.2.840.113619.2.55.3.604688119.868.{series}.{n}");
            InstanceAttributes {
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
            let bytes = event.payload().unwrap().len();
            assert!(bytes < 250_000, "{bytes}");
        }
        let state = past(events).state();
        assert_eq!(
            (state.number_of_series, state.number_of_instances),
            (5, 5000)
        );
        assert_eq!(state.content.number_of_instances(), 5000);
    }

    /// Returns `many` series, each with a description of `bytes` quotation marks, which JSON doubles.
    fn described(many: usize, bytes: usize) -> Vec<SyncedSeries> {
        let description = Text::parse("\"".repeat(bytes)).ok();
        let series = (0..many).map(|n| {
            let mut series = synced_series(&format!("1.1.{n}"), Some(3), &[]);
            series.facts.description.clone_from(&description);
            series
        });
        series.collect()
    }

    #[test]
    fn a_thousand_known_series_that_changed_fit_too() {
        let events = Study::decide(None, telling(described(1000, 1)), &context()).unwrap();
        let before = past(events).state();
        let command = sync(|sync| {
            sync.details.description = Text::parse("\"".repeat(60_000)).ok();
            sync.series = described(1000, 400);
            sync.series
                .iter_mut()
                .for_each(|series| series.facts.number_of_instances = Some(4));
        });
        let events = Study::decide(Some(&before), command.clone(), &context()).unwrap();
        assert!(events.len() > 2, "{}", events.len());
        for event in &events {
            let bytes = event.payload().unwrap().len();
            assert!(bytes < 250_000, "{bytes}");
        }
        let numbers = |event: &Event| {
            let Event::Updated(update) = event else {
                panic!("{event:?}")
            };
            update.number_of_instances
        };
        let numbers: Vec<u32> = events.iter().filter_map(numbers).collect();
        assert_eq!(numbers, [4000], "once, after all of them");
        let fold = |study, event| Study::evolve(Some(study), event).unwrap();
        let after = events.into_iter().fold(before, fold);
        assert_eq!(after.number_of_instances, 4000);
        assert_eq!(Study::decide(Some(&after), command, &context()), Ok(vec![]));
    }

    #[test]
    fn what_changed_of_a_study_and_of_its_series_is_one_event_where_it_fits() {
        let text = || Text::parse("CT head").ok();
        let command = sync(|sync| {
            sync.details.description = text();
            sync.series = vec![synced_series("1.1", Some(4), &[])];
        });
        let state = with_an_image().state();
        let events = Study::decide(Some(&state), command, &context()).unwrap();
        let [Event::Updated(update)] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((&update.description, update.series.len()), (&text(), 1));
        assert_eq!(update.number_of_instances, Some(4));
    }

    #[test]
    fn a_patients_data_which_are_sealed_are_told_without_series() {
        let patient = Patient {
            mrn: Text::parse("1").ok().map(Phi::new),
            family_name: None,
            given_name: None,
            birth_date: None,
            sex: None,
        };
        let command = sync(|sync| {
            sync.patient = Some(patient.clone());
            sync.series = vec![synced_series("1.1", Some(4), &[])];
        });
        let state = with_an_image().state();
        let events = Study::decide(Some(&state), command, &context()).unwrap();
        let [Event::Updated(own), Event::Updated(of_series)] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(own.phi, Some(UpdatedPhi { patient }));
        assert_eq!((own.series.len(), of_series.series.len()), (0, 1));
        assert_eq!(of_series.number_of_instances, Some(4));
    }

    #[test]
    fn a_thousand_series_of_one_image_fit_too() {
        let series = (0..1000).map(|n| {
            let series = format!("1.1.{n}");
            let sop = format!("1.2.{n}");
            synced_series(&series, None, &[&sop])
        });
        let events = Study::decide(None, telling(series.collect()), &context()).unwrap();
        for event in &events {
            let bytes = event.payload().unwrap().len();
            assert!(bytes < 250_000, "{bytes}");
        }
        assert_eq!(past(events).state().number_of_instances, 1000);
    }
}

mod single_addition {
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
