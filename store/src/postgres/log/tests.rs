use crate::engine::EventLog as _;
use std::fmt::Write as _;

use roentgen_domain::ids::{PatientId, StreamId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{HEAD, OF_STREAM, PAGE, PAGE_OF_BEGINNINGS, PAGE_OF_STREAM, PAGE_OF_TENANT, TAILS};
use crate::clock::fresh_id;
use crate::error::EngineError;
use crate::log::{LogFilter, MAX_POSITIONS_PER_PAGE, PreparedAppend};
use crate::postgres::test_support::{PostgresFixture, TENANT, ask, prepare, run, stream, to};
use crate::readers::Scope;

/// Runs SQL as the owner with the triggers disabled, as an attacker with the owner's rights could.
async fn tamper(database: &PostgresFixture, sql: &str) {
    let mut owner = database.owner().await;
    let disarm = "SET session_replication_role = replica";
    run(&mut owner, &format!("{disarm}; {sql}")).await.unwrap();
}

/// Returns the parts of the statement's plan that were executed for these arguments.
async fn plan(connection: &mut PgConnection, sql: &str, types: &str, arguments: &str) -> String {
    let prepared = format!("DEALLOCATE ALL; PREPARE it({types}) AS {sql}");
    run(connection, &prepared).await.unwrap();
    let explain =
        format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE it({arguments})");
    let plan = ask(connection, &explain).await;
    plan.lines()
        .filter(|plan| !plan.contains("never executed"))
        .fold(String::new(), |mut all, line| {
            writeln!(all, "{line}").unwrap();
            all
        })
}

fn scans(plan: &str) -> Vec<&str> {
    plan.lines()
        .filter(|plan| plan.contains("Scan") && plan.contains(" on events_from"))
        .map(|plan| {
            plan.trim()
                .trim_start_matches("->")
                .trim()
                .split(" (")
                .next()
                .unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_stream_is_read_in_order_from_a_version_on() {
    let database = PostgresFixture::with_partitions_of(4).await;
    let id = stream();
    database.write(&[to(id, 0, 3)]).await;
    database.fill(6).await;
    database.write(&[to(id, 3, 2)]).await;

    let versions = async |after, limit| {
        let events = database
            .read_stream(Scope::AllTenants, id, after, limit)
            .await
            .unwrap();
        events
            .iter()
            .map(|event| (event.version, event.position))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        versions(0, 10).await,
        [(1, 1), (2, 2), (3, 3), (4, 10), (5, 11)]
    );
    assert_eq!(versions(2, 2).await, [(3, 3), (4, 10)]);
    assert_eq!(versions(5, 10).await, []);
    assert_eq!(
        database
            .read_stream(Scope::AllTenants, stream(), 0, 10)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn statements_touch_the_partitions_they_need_and_no_others() {
    let database = PostgresFixture::with_partitions_of(10).await;
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.extend(database.fill(100).await);
    }
    let pair = stream();
    database.write(&[to(pair, 0, 2)]).await;
    let mut owner = database.owner().await;
    run(&mut owner, "VACUUM ANALYZE").await.unwrap();
    let mut server = database.server().await;
    let id = streams[504];

    let of_stream = format!("'{id}', 0, 100, null");
    let types = "uuid, bigint, bigint, uuid";
    let of_stream = plan(&mut server, OF_STREAM, types, &of_stream).await;
    assert_eq!(
        scans(&of_stream),
        ["Index Scan using events_from_500_stream_id_version_key on events_from_500 events_51"],
        "{of_stream}"
    );
    let foreign = format!("'{id}', 0, 100, '{}'", fresh_id());
    let foreign = plan(&mut server, OF_STREAM, types, &foreign).await;
    assert!(scans(&foreign).is_empty(), "another tenant's: {foreign}");
    let head = plan(&mut server, HEAD, "bigint", "1195").await;
    assert!(
        scans(&head).len() <= 2 && !head.contains("events_from_1180"),
        "{head}"
    );

    let types = "bigint, bigint, bigint, text[], text, text, uuid, uuid";
    let page = plan(
        &mut server,
        PAGE,
        types,
        "500, 509, 50, null, null, null, null, null",
    )
    .await;
    assert_eq!(
        scans(&page),
        ["Index Scan using events_from_500_pkey on events_from_500 events_1"],
        "{page}"
    );
    let types = "bigint, bigint, bigint, text[], text, text";
    let beginnings = "500, 509, 50, null, 'ImagingOrder', null";
    let beginnings = plan(&mut server, PAGE_OF_BEGINNINGS, types, beginnings).await;
    assert_eq!(
        scans(&beginnings),
        ["Index Scan using events_from_500_pkey on events_from_500 events_1"],
        "{beginnings}"
    );
    let tails = format!("'{{{id}, {pair}}}', 1200000");
    let tails = plan(&mut server, TAILS, "uuid[], bigint", &tails).await;
    let scans_of_tails = scans(&tails);
    assert!(
        scans_of_tails.len() == 1 && scans_of_tails[0].contains("_stream_id_version_key"),
        "{tails}"
    );

    let types = "bigint, bigint, bigint, text[], text, text, uuid, uuid";
    let tenant = format!("500, 509, 50, null, null, null, '{TENANT}', null");
    let tenant = plan(&mut server, PAGE_OF_TENANT, types, &tenant).await;
    assert_eq!(scans(&tenant).len(), 1, "{tenant}");
    let stream = format!("0, 1200, 50, null, null, null, '{id}', null");
    let stream = plan(&mut server, PAGE_OF_STREAM, types, &stream).await;
    assert!(
        scans(&stream)
            .iter()
            .all(|scan| scan.contains("stream_id_version_key")),
        "{stream}"
    );
}

fn shaped(patient: u128, event_type: &'static str, stream_type: &'static str) -> PreparedAppend {
    let mut append = to(stream(), 0, 1).append;
    let patient = PatientId::from(Uuid::from_u128(patient));
    append.events[0].payload = format!(r#"{{"patient_id":"{patient}"}}"#);
    append.events[0].event_type = event_type;
    append.events[0].stream_type = stream_type;
    prepare(append)
}

/// Returns each filter with the positions that it selects from a log of four events, the third of another tenant.
fn filters(third: StreamId) -> Vec<(LogFilter, Vec<u64>)> {
    let all = LogFilter::default;
    let ours = Some(TENANT.into());
    let types = vec!["A.Three".into(), "B.Two".into()];
    let patient = Uuid::from_u128(1).into();
    vec![
        (all(), vec![1, 2, 3, 4]),
        (
            LogFilter {
                tenant_id: ours,
                ..all()
            },
            vec![1, 2, 4],
        ),
        (
            LogFilter {
                event_types: types,
                ..all()
            },
            vec![2, 4],
        ),
        (
            LogFilter {
                stream_type: Some("A".into()),
                ..all()
            },
            vec![1, 4],
        ),
        (
            LogFilter {
                stream_id: Some(third),
                ..all()
            },
            vec![3],
        ),
        (
            LogFilter {
                stream_id: Some(third),
                tenant_id: ours,
                ..all()
            },
            vec![],
        ),
        (
            LogFilter {
                patient_id: Some(patient),
                ..all()
            },
            vec![1, 4],
        ),
        (
            LogFilter {
                stream_id: Some(stream()),
                ..all()
            },
            vec![],
        ),
    ]
}

#[tokio::test]
async fn a_page_holds_what_passes_the_filter() {
    let database = PostgresFixture::with_partitions_of(3).await;
    let mut foreign = to(stream(), 0, 1).append;
    foreign.events[0].tenant_id = Uuid::from_u128(8).into();
    let third = foreign.events[0].stream_id;
    let one = shaped(1, "A.One", "A");
    let two = shaped(2, "B.Two", "B");
    database
        .write(&[one, two, prepare(foreign), shaped(1, "A.Three", "A")])
        .await;

    for (filter, positions) in filters(third) {
        let page = database.read_log(0, 10, &filter).await.unwrap();
        let found = page
            .events
            .iter()
            .map(|event| event.position)
            .collect::<Vec<_>>();
        assert_eq!((found, page.scanned_to), (positions, 4), "{filter:?}");
    }
}

#[tokio::test]
async fn a_page_says_how_far_it_looked() {
    let database = PostgresFixture::create().await;
    database.fill(5).await;
    let scanned = async |after, limit| {
        database
            .read_log(after, limit, &LogFilter::default())
            .await
            .unwrap()
            .scanned_to
    };
    assert_eq!(scanned(0, 2).await, 2);
    assert_eq!(scanned(0, 5).await, 5);
    assert_eq!(scanned(0, 10).await, 5);
    assert_eq!(scanned(9, 10).await, 9);
    assert_eq!(scanned(u64::MAX, 10).await, u64::MAX);
}

#[tokio::test]
async fn a_page_looks_at_so_many_positions_and_no_more() {
    let database = PostgresFixture::create().await;
    database.fill(1).await;
    let far = MAX_POSITIONS_PER_PAGE + 50;
    tamper(
        &database,
        &format!(
            "INSERT INTO events SELECT n, tenant, stream_type, gen_random_uuid(), 1, event_id, 'Rare',
                 1, recorded_at, payload, sealed, metadata, leaf, hash
             FROM events, generate_series({}, {far}) AS n",
            MAX_POSITIONS_PER_PAGE - 50
        ),
    )
    .await;
    let rare = LogFilter {
        event_types: vec!["Rare".into()],
        ..LogFilter::default()
    };
    let page = database.read_log(0, 1000, &rare).await.unwrap();
    assert_eq!(
        (page.events.len(), page.scanned_to),
        (51, MAX_POSITIONS_PER_PAGE)
    );
    let page = database
        .read_log(page.scanned_to, 1000, &rare)
        .await
        .unwrap();
    assert_eq!((page.events.len(), page.scanned_to), (50, far));
}

#[tokio::test]
async fn a_log_that_went_back_has_an_earlier_head() {
    let database = PostgresFixture::create().await;
    database.fill(5).await;
    tamper(&database, "DELETE FROM events WHERE position > 2").await;
    assert_eq!(database.head().await.unwrap().position, 2);
}

#[tokio::test]
async fn stream_table_mismatch_is_reported_after_tampering() {
    let by_hand = "INSERT INTO events SELECT 11, tenant, stream_type, {}, event_id, type,
                       1, recorded_at, payload, sealed, metadata, leaf, hash
                   FROM events WHERE position = 10";
    let unknown = by_hand.replace("{}", "gen_random_uuid(), 1");
    let next = by_hand.replace("{}", "stream_id, 2");
    for (sql, first) in [
        ("SELECT", None),
        (unknown.as_str(), Some(11)),
        (next.as_str(), Some(11)),
        ("DELETE FROM events WHERE position > 8", Some(9)),
        ("DELETE FROM events", Some(1)),
        ("DELETE FROM events WHERE position = 1", Some(1)),
        ("DELETE FROM events WHERE position = 2", Some(2)),
        ("DELETE FROM streams WHERE first_position = 7", Some(7)),
        (
            "UPDATE streams SET version = 9, last_position = 20 WHERE last_position = 10",
            Some(11),
        ),
        (
            "UPDATE streams SET tenant = gen_random_uuid() WHERE first_position = 6",
            Some(6),
        ),
    ] {
        let database = PostgresFixture::with_partitions_of(4).await;
        database.write(&[to(stream(), 0, 3)]).await;
        database.fill(7).await;
        tamper(&database, sql).await;
        assert_eq!(
            database.first_stream_mismatch().await.unwrap(),
            first,
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_column_out_of_range_is_damage_at_its_position() {
    let database = PostgresFixture::create().await;
    let id: StreamId = database.fill(2).await[1];
    tamper(&database, "UPDATE events SET hash = '' WHERE position = 2").await;
    let damage = database
        .read_stream(Scope::AllTenants, id, 0, 1)
        .await
        .unwrap_err();
    let named = "corrupt stored data: column hash at position 2";
    assert_eq!(damage.to_string(), named);
    assert_eq!(database.head().await.unwrap_err().to_string(), named);
    assert_eq!(
        database
            .read_log(0, 1, &LogFilter::default())
            .await
            .unwrap()
            .scanned_to,
        1
    );
    let refused = database.send(&[to(stream(), 0, 1)], false).await;
    assert!(
        matches!(refused, Err(EngineError::Rejected(_))),
        "{refused:?}"
    );
}
