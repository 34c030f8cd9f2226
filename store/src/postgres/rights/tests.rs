use crate::engine::{EventLog as _, KeyStore as _, LogArchive as _};
use sqlx::PgConnection;

use crate::archive::ArchivedPartition;
use crate::engine::Engine as _;
use crate::postgres::test_support::{PostgresFixture, ask, run, sqlstate_of};
use crate::rights::{Login, UnsafeSchema};

/// SQLSTATE of a missing privilege.
const NOT_ALLOWED: &str = "42501";

/// Functions of the schemas that do not resolve names in `pg_catalog` only, except `log_append`, which runs with its
/// caller's rights.
const FIXED: &str = "SELECT proname::text || ': ' || coalesce(proconfig::text, 'no setting') FROM pg_proc
    WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'read', 'archived'))
      AND (prosecdef OR proname <> 'log_append')
      AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')))";

/// Functions that match a call in the owner's functions better than those in `pg_catalog`.
const SHADOWS: [&str; 11] = [
    "FUNCTION public.hashtextextended(text, integer) RETURNS bigint",
    "FUNCTION public.pg_advisory_xact_lock(numeric) RETURNS void",
    "FUNCTION public.convert_from(bytea, text) RETURNS text",
    "FUNCTION public.format(text, text) RETURNS text",
    "FUNCTION public.format(text, bigint) RETURNS text",
    "FUNCTION public.format(text, text, bigint, bigint) RETURNS text",
    "FUNCTION public.max(bigint) RETURNS bigint",
    "FUNCTION public.string_agg(text, text) RETURNS text",
    "FUNCTION public.joined(text, bigint) RETURNS text",
    "FUNCTION public.plus(bigint, integer) RETURNS bigint",
    "FUNCTION public.below(bigint, bigint) RETURNS boolean",
];

const OPERATORS: [&str; 4] = [
    "|| (LEFTARG = text, RIGHTARG = bigint, FUNCTION = public.joined)",
    "+ (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = public.plus)",
    "<= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.below)",
    "< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.below)",
];

/// Lets the server create objects in `public`, as PostgreSQL 14 does, and opens a connection of the server.
async fn opened(database: &PostgresFixture) -> PgConnection {
    let owner = &mut database.owner().await;
    run(owner, "GRANT CREATE ON SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    database.server().await
}

/// Creates functions and operators that fail when they are called.
async fn plant(server: &mut PgConnection) {
    for shadow in SHADOWS {
        let body = "BEGIN RAISE EXCEPTION 'ran as %', current_user; END";
        let create = format!("CREATE {shadow} LANGUAGE plpgsql AS $${body}$$");
        run(server, &create).await.unwrap();
    }
    for operator in OPERATORS {
        run(server, &format!("CREATE OPERATOR public.{operator}"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn names_in_functions_of_the_owner_are_resolved_in_pg_catalog_only() {
    let database = PostgresFixture::create().await;
    assert_eq!(ask(&mut database.owner().await, FIXED).await, "");
}

#[tokio::test]
async fn what_the_server_plants_in_public_does_not_run_as_the_owner() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(9).await;
    let mut server = opened(&database).await;
    plant(&mut server).await;

    let made = "SELECT public.log_ensure_partitions(20)::text";
    assert_eq!(ask(&mut server, made).await, "30");
    let cast = "CREATE CAST (text AS bigint) WITH FUNCTION public.hashtextextended(text, integer)";
    assert_eq!(sqlstate_of(&mut server, cast).await, NOT_ALLOWED);
}

#[tokio::test]
async fn what_the_server_plants_in_public_does_not_run_in_an_archiving() {
    let database = PostgresFixture::with_partitions_of(10).await;
    database.fill(25).await;
    let partition = database.oldest_partition().await.unwrap().unwrap();
    let last = database.event_at(partition.last()).await.unwrap().unwrap();
    plant(&mut opened(&database).await).await;
    let archive = ArchivedPartition {
        partition,
        last_hash: last.hash,
        file_name: "0".to_owned(),
        file_sha256: [7; 32],
    };
    assert_eq!(database.archive_oldest(&archive, &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_may_create_in_public_is_named() {
    let database = PostgresFixture::create().await;
    let safe = database.rights(Login::Server).await.unwrap();
    assert_eq!(safe.check(), Ok(()));
    opened(&database).await;
    let rights = database.rights(Login::Server).await.unwrap();
    let roles = "roentgen_server".to_owned();
    assert_eq!(rights.check(), Err(UnsafeSchema::MayCreate(roles)));
}

#[tokio::test]
async fn code_of_another_role_in_public_is_named_to_both_logins() {
    let database = PostgresFixture::create().await;
    let mut server = opened(&database).await;
    run(
        &mut server,
        "CREATE FUNCTION public.planted(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    )
    .await
    .unwrap();
    let owner = &mut database.owner().await;
    run(owner, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        .await
        .unwrap();
    for login in [Login::Owner, Login::Server] {
        let rights = database.rights(login).await.unwrap();
        let planted = "planted(bigint) (of roentgen_server)".to_owned();
        assert_eq!(rights.check(), Err(UnsafeSchema::Foreign(planted)));
    }
}

#[tokio::test]
async fn migrations_take_back_the_right_to_create_in_public() {
    let database = PostgresFixture::empty().await;
    let owner = &mut database.owner().await;
    run(owner, "GRANT CREATE ON SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    database.migrate().await.unwrap();
    let grants = "SELECT count(*)::text FROM pg_namespace n, aclexplode(n.nspacl) a
                  WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'";
    assert_eq!(ask(owner, grants).await, "0");
}

#[tokio::test]
async fn a_setting_is_the_owners_to_make() {
    let database = PostgresFixture::create().await;
    let mut server = database.server().await;
    for name in ["partition_size", "anything"] {
        let insert = format!("INSERT INTO meta VALUES ('{name}', '1')");
        assert_eq!(
            sqlstate_of(&mut server, &insert).await,
            NOT_ALLOWED,
            "{name}"
        );
    }
    let known = database.event_key_fingerprint(b"one").await.unwrap();
    assert_eq!(known, b"one");
}

#[tokio::test]
async fn the_search_path_of_roles_and_databases_does_not_count() {
    let database = PostgresFixture::create().await;
    let owner = &mut database.owner().await;
    let name = ask(owner, "SELECT quote_ident(current_database())").await;
    let set = format!("ALTER DATABASE {name} SET search_path = elsewhere");
    run(owner, &set).await.unwrap();
    let mut server = database.server().await;
    let path = "SELECT current_setting('search_path')";
    assert_eq!(ask(&mut server, path).await, "public,pg_temp");
    assert_eq!(database.head().await.unwrap().position, 0);
    database.migrate().await.unwrap();
}
