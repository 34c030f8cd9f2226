//! Tests of the storage of sealed data.

use super::*;
use crate::engine::{GenerationStore as _, ReadModelStore as _};
use crate::postgres::test_support::run;

/// Length of sealed data that the database could compress, in bytes.
const LENGTH: usize = 100_000;

/// Returns the stored size of the rows' sealed data, in bytes.
async fn kept(database: &PostgresFixture) -> String {
    let sql = "SELECT sum(pg_column_size(sealed))::text FROM read.orders_v1";
    ask(&mut database.owner().await, sql).await
}

#[tokio::test]
async fn what_is_sealed_is_stored_as_it_is() {
    let sealed = Row {
        sealed: vec![7; LENGTH],
        ..row(1, "requested", None)
    };
    let database = with_rows(vec![sealed]).await;
    assert_eq!(kept(&database).await, LENGTH.to_string());
}

#[tokio::test]
async fn a_table_of_an_earlier_release_is_changed() {
    let database = with_rows(vec![]).await;
    let earlier = "ALTER TABLE read.orders_v1 ALTER COLUMN sealed SET STORAGE EXTENDED";
    run(&mut database.server().await, earlier).await.unwrap();
    database.create_tables(&[]).await.unwrap();
    let sealed = Row {
        sealed: vec![7; LENGTH],
        ..row(1, "requested", None)
    };
    let batch = batch(at(1), at(2), vec![sealed]);
    assert!(database.write_projection(&batch).await.unwrap());
    assert_eq!(kept(&database).await, LENGTH.to_string());
}

#[tokio::test]
async fn a_table_that_is_read_at_length_keeps_no_server_from_starting() {
    let database = with_rows(vec![]).await;
    let server = &mut database.server().await;
    let earlier = "ALTER TABLE read.orders_v1 ALTER COLUMN sealed SET STORAGE EXTENDED";
    run(server, earlier).await.unwrap();
    run(server, "BEGIN; SELECT FROM read.orders_v1")
        .await
        .unwrap();
    database.create_tables(&[TABLE]).await.unwrap();
    run(server, "COMMIT").await.unwrap();
    database.create_tables(&[TABLE]).await.unwrap();
    let storage = "SELECT attstorage::text FROM pg_attribute
        WHERE attrelid = 'read.orders_v1'::regclass AND attname = 'sealed'";
    assert_eq!(ask(server, storage).await, "e");
}
