use crate::engine::Engine as _;
use crate::engine::EventLog as _;
use crate::error::EngineError;
use crate::log::LogFilter;
use crate::postgres::test_support::{PostgresFixture, ask, run, sqlstate_of, stream, to};

const PARTITIONS: &str = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER \
                          BY 1";

/// SQLSTATE of the append-only triggers.
const REFUSED: &str = "23001";

/// SQLSTATE of a missing privilege.
const NOT_ALLOWED: &str = "42501";

const CHANGES: [&str; 3] = [
    "UPDATE {} SET recorded_at = 0",
    "DELETE FROM {} WHERE version = 1",
    "TRUNCATE {}",
];

#[tokio::test]
async fn partitions_appear_ahead_of_the_head_beside_an_open_snapshot() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(1).await;
    let mut reader = database.owner().await;
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    assert_eq!(
        ask(&mut reader, "SELECT count(*)::text FROM events").await,
        "1"
    );

    let mut owner = database.owner().await;
    assert_eq!(ask(&mut owner, PARTITIONS).await, "events_from_0");
    database.fill(4).await;
    assert_eq!(
        ask(&mut owner, PARTITIONS).await,
        "events_from_0\nevents_from_10"
    );
    database.fill(40).await;
    assert_eq!(ask(&mut owner, PARTITIONS).await.lines().count(), 6);

    assert_eq!(
        ask(&mut reader, "SELECT count(*)::text FROM events").await,
        "1"
    );
    let page = database
        .read_log(0, 100, &LogFilter::default())
        .await
        .unwrap();
    assert_eq!(page.events.len(), 45);
    assert_eq!(database.first_stream_mismatch().await.unwrap(), None);
}

#[tokio::test]
async fn append_does_not_wait_for_partition_ddl() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(1).await;
    let mut other = database.owner().await;
    run(
        &mut other,
        "BEGIN; LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE",
    )
    .await
    .unwrap();

    database.fill(5).await;
    let full = database.send(&[to(stream(), 0, 9)], false).await;
    assert!(matches!(full, Err(EngineError::Unavailable(_))), "{full:?}");
    run(&mut other, "ROLLBACK").await.unwrap();
    database.fill(9).await;
    assert_eq!(database.head().await.unwrap().position, 15);
}

#[tokio::test]
async fn partitions_too_far_ahead_are_refused() {
    let database = PostgresFixture::with_partitions_of(10).await;
    let mut server = database.server().await;
    let far = "SELECT log_ensure_partitions(9223372036854775807)";
    assert_eq!(sqlstate_of(&mut server, far).await, "P0001");
}

#[tokio::test]
async fn the_server_may_not_change_the_log() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(1).await;
    let mut server = database.server().await;
    assert_eq!(
        ask(&mut server, "SELECT current_user::text").await,
        "roentgen_server"
    );
    for table in ["events", "events_from_0"] {
        for change in CHANGES {
            let change = change.replace("{}", table);
            assert_eq!(
                sqlstate_of(&mut server, &change).await,
                NOT_ALLOWED,
                "{change}"
            );
        }
    }
    for statement in [
        "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DELETE FROM streams",
        "UPDATE patient_keys SET wrapped = ''",
        "DELETE FROM patient_keys",
        "UPDATE secrets SET sealed = ''",
        "DELETE FROM secrets",
        "UPDATE meta SET value = ''",
        "INSERT INTO log_partitions VALUES (0, 1)",
        "CREATE TABLE public.mine ()",
    ] {
        assert_eq!(
            sqlstate_of(&mut server, statement).await,
            NOT_ALLOWED,
            "{statement}"
        );
    }
}

#[tokio::test]
async fn the_owner_may_not_change_the_log_either() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(11).await;
    let mut owner = database.owner().await;
    for table in ["events", "events_from_0", "events_from_10"] {
        for change in CHANGES {
            let change = change.replace("{}", table);
            assert_eq!(sqlstate_of(&mut owner, &change).await, REFUSED, "{change}");
        }
    }
}

#[tokio::test]
async fn nothing_is_for_everybody() {
    let database = PostgresFixture::create().await;
    let mut owner = database.owner().await;
    let open = "SELECT proname::text FROM pg_proc p, aclexplode(p.proacl) a
                WHERE p.pronamespace = 'public'::regnamespace AND a.grantee = 0
                UNION ALL SELECT proname::text FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace AND proacl IS NULL
                UNION ALL SELECT relname::text FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.relnamespace IN ('public'::regnamespace, 'read'::regnamespace)
                  AND a.grantee = 0";
    assert_eq!(ask(&mut owner, open).await, "");
}

#[tokio::test]
async fn migrations_run_again_and_beside_each_other() {
    let database = PostgresFixture::create().await;
    let (one, other) = tokio::join!(database.migrate(), database.migrate());
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_can_migrate_and_serve() {
    let database = PostgresFixture::create().await;
    let mut owner = database.owner().await;
    let role = format!("roentgen_owner_{}", crate::clock::fresh_id().simple());
    let name = ask(&mut owner, "SELECT current_database()::text").await;
    let plain = format!("{role}_db");
    run(&mut owner, &format!("CREATE ROLE {role} LOGIN CREATEROLE"))
        .await
        .unwrap();
    run(&mut owner, &format!("CREATE DATABASE {plain} OWNER {role}"))
        .await
        .unwrap();
    let url = database.url().replace(&name, &plain);
    let (_, host) = url.split_once('@').unwrap();
    let engine = crate::postgres::Postgres::connect(&format!("postgres://{role}@{host}")).unwrap();
    let migrated = engine.migrate().await;
    let pinged = engine.ping().await;
    engine.close().await;
    run(&mut owner, &format!("DROP DATABASE {plain} WITH (FORCE)"))
        .await
        .unwrap();
    run(&mut owner, &format!("DROP ROLE {role}")).await.unwrap();
    migrated.unwrap();
    pinged.unwrap();
}
