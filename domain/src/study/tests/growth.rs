//! Series and instances only grow.

use super::*;

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
