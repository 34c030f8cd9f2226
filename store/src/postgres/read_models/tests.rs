mod backfill;
mod planned;
mod sealed;

use crate::engine::{
    GenerationStore as _, KeyBinding, KeyStore as _, LeaseStore as _, ReadModelStore as _,
};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::fresh_id;
use crate::error::{EngineError, KeyMismatch};
use crate::generation::{GenerationState, NewGeneration};
use crate::postgres::test_support::{PostgresFixture, TENANT, ask, stream};
use crate::read_model::{
    Checkpoint, Column, ColumnKind, Filter, Index, ListQuery, ParkedStream, ProjectionBatch,
    ReadModel, Row, Table, Value,
};
use crate::readers::Scope;

static ORDERS: ReadModel = ReadModel {
    name: "orders",
    version: 1,
    columns: &[
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "holder",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "urgent",
            kind: ColumnKind::Bool,
        },
    ],
    indexes: &[
        Index {
            columns: &[],
            sparse: false,
        },
        Index {
            columns: &["status"],
            sparse: false,
        },
        Index {
            columns: &["holder"],
            sparse: true,
        },
    ],
};

fn row(n: u8, status: &str, holder: Option<u128>) -> Row {
    Row {
        id: Uuid::from_u128(u128::from(n)),
        tenant_id: TENANT.into(),
        patient_id: n.is_multiple_of(2).then(|| Uuid::from_u128(99).into()),
        version: 1,
        sort_key: vec![n],
        values: vec![
            Value::text(Some(status)),
            Value::uuid(holder.map(Uuid::from_u128)),
            if n == 1 {
                Value::Bool(true)
            } else {
                Value::Null
            },
        ],
        document: format!(r#"{{"n":{n}}}"#),
        sealed: vec![n; 3],
    }
}

fn at(position: u64) -> Checkpoint {
    Checkpoint {
        position,
        hash: [u8::try_from(position).unwrap(); 32],
    }
}

const TABLE: Table = Table {
    model: &ORDERS,
    generation: 1,
};

fn batch(from: Checkpoint, to: Checkpoint, rows: Vec<Row>) -> ProjectionBatch {
    ProjectionBatch {
        from: vec![(TABLE, from)],
        to,
        rows: vec![(TABLE, rows)],
        parked: vec![],
        left_out: vec![],
        filling: false,
    }
}

/// Creates a live generation.
async fn live(database: &PostgresFixture) {
    database.create_tables(&[TABLE]).await.unwrap();
    database.create_indexes(&[TABLE]).await.unwrap();
    let new = NewGeneration {
        tables: vec![TABLE],
        state: GenerationState::Live,
    };
    database.create_generations(&[new]).await.unwrap();
}

async fn checkpoint(database: &PostgresFixture) -> Checkpoint {
    let generations = database.generations().await.unwrap();
    generations[0].checkpoint
}

async fn with_rows(rows: Vec<Row>) -> PostgresFixture {
    let database = PostgresFixture::create().await;
    live(&database).await;
    assert!(
        database
            .write_projection(&batch(Checkpoint::START, at(1), rows))
            .await
            .unwrap()
    );
    database
}

fn list(prefixes: Vec<Vec<(&'static str, Value)>>) -> ListQuery {
    ListQuery {
        model: &ORDERS,
        tenant_id: TENANT.into(),
        prefixes,
        filters: vec![],
        after: None,
        from: None,
        before: None,
        limit: 10,
    }
}

async fn listed(database: &PostgresFixture, query: &ListQuery) -> Vec<u8> {
    database
        .live_list(query)
        .await
        .unwrap()
        .iter()
        .map(|row| row.sort_key[0])
        .collect()
}

#[tokio::test]
async fn rows_come_back_as_they_were_written_and_written_over() {
    let mut rows = vec![row(1, "requested", Some(5)), row(2, "scheduled", None)];
    let database = with_rows(rows.clone()).await;
    rows[1] = Row {
        version: 2,
        ..row(2, "completed", Some(6))
    };
    assert!(
        database
            .write_projection(&batch(at(1), at(2), vec![rows[1].clone()]))
            .await
            .unwrap()
    );

    let ids = [1, 2, 3].map(Uuid::from_u128);
    let mut found = database
        .live_rows(Scope::AllTenants, &ORDERS, &ids)
        .await
        .unwrap();
    found.sort_by_key(|row| row.id);
    assert_eq!(found, rows);
}

#[tokio::test]
async fn the_checkpoint_moves_from_where_it_is_and_from_nowhere_else() {
    let database = with_rows(vec![]).await;
    let other_log = Checkpoint {
        hash: [9; 32],
        ..at(1)
    };
    for stale in [Checkpoint::START, at(3), other_log] {
        let written = database
            .write_projection(&batch(stale, at(5), vec![row(1, "requested", None)]))
            .await;
        assert!(!written.unwrap(), "{stale:?}");
    }
    assert_eq!(checkpoint(&database).await, at(1));
    assert!(listed(&database, &list(vec![vec![]])).await.is_empty());

    let missing = Table {
        generation: 2,
        ..TABLE
    };
    let of_both = ProjectionBatch {
        from: vec![(TABLE, at(1)), (missing, Checkpoint::START)],
        ..batch(at(1), at(2), vec![row(1, "requested", None)])
    };
    assert!(
        !database.write_projection(&of_both).await.unwrap(),
        "all or none"
    );
    assert_eq!(checkpoint(&database).await, at(1));
    assert!(
        database
            .write_projection(&batch(at(1), at(5), vec![]))
            .await
            .unwrap()
    );
    assert_eq!(checkpoint(&database).await, at(5));
}

#[tokio::test]
async fn of_two_that_project_the_same_one_writes() {
    let database = with_rows(vec![]).await;
    let first = batch(at(1), at(2), vec![]);
    let second = batch(at(1), at(3), vec![]);
    let (one, other) = tokio::join!(
        database.write_projection(&first),
        database.write_projection(&second)
    );
    assert!(one.unwrap() != other.unwrap());
}

#[tokio::test]
async fn a_value_of_another_kind_is_refused_whole() {
    let database = with_rows(vec![]).await;
    let mut wrong = row(1, "requested", None);
    wrong.values[1] = Value::Text("no id".to_owned());
    let refused = database
        .write_projection(&batch(at(1), at(2), vec![row(2, "requested", None), wrong]))
        .await;
    assert!(
        matches!(refused, Err(EngineError::Corrupt(_))),
        "{refused:?}"
    );
    assert_eq!(checkpoint(&database).await, at(1));
}

#[tokio::test]
async fn a_stream_is_parked_once() {
    let database = with_rows(vec![]).await;
    let first = ParkedStream {
        model: "orders_v1".to_owned(),
        stream_id: stream(),
        position: 2,
        reason: "unknown shape".to_owned(),
    };
    let later = ParkedStream {
        position: 3,
        ..first.clone()
    };
    for (from, parked) in [(1, first.clone()), (2, later)] {
        let batch = ProjectionBatch {
            parked: vec![parked],
            ..batch(at(from), at(from + 1), vec![])
        };
        assert!(database.write_projection(&batch).await.unwrap());
    }
    assert_eq!(database.parked().await.unwrap(), [first]);
}

#[tokio::test]
async fn a_list_is_the_ordered_union_of_its_prefixes() {
    let mut foreign = row(9, "requested", None);
    foreign.tenant_id = fresh_id().into();
    let database = with_rows(vec![
        row(4, "requested", Some(5)),
        row(3, "scheduled", None),
        row(2, "completed", Some(5)),
        row(1, "requested", None),
        foreign,
    ])
    .await;
    let status = |text: &str| vec![("status", Value::Text(text.to_owned()))];
    let open = || list(vec![status("requested"), status("scheduled")]);

    assert_eq!(listed(&database, &list(vec![vec![]])).await, [1, 2, 3, 4]);
    assert_eq!(listed(&database, &open()).await, [1, 3, 4]);
    assert_eq!(
        listed(&database, &ListQuery { limit: 2, ..open() }).await,
        [1, 3]
    );
    assert_eq!(
        listed(
            &database,
            &ListQuery {
                after: Some(vec![1]),
                ..open()
            }
        )
        .await,
        [3, 4]
    );
    assert_eq!(
        listed(
            &database,
            &ListQuery {
                from: Some(vec![3]),
                ..open()
            }
        )
        .await,
        [3, 4]
    );
    assert_eq!(
        listed(
            &database,
            &ListQuery {
                before: Some(vec![4]),
                ..open()
            }
        )
        .await,
        [1, 3]
    );
    let held = list(vec![vec![("holder", Value::Uuid(Uuid::from_u128(5)))]]);
    assert_eq!(listed(&database, &held).await, [2, 4]);
    let filters = vec![
        Filter::Contains("status", "quest".to_owned()),
        Filter::Equals("urgent", Value::Bool(true)),
    ];
    assert_eq!(
        listed(&database, &ListQuery { filters, ..open() }).await,
        [1]
    );
}

#[tokio::test]
async fn two_nodes_create_one_model_at_once() {
    let database = PostgresFixture::create().await;
    let all = std::iter::repeat_with(|| live(&database)).take(6);
    futures_util::future::join_all(all).await;
    let indexes = "SELECT count(*)::text FROM pg_indexes WHERE schemaname = 'read' AND tablename = 'orders_v1'";
    assert_eq!(ask(&mut database.owner().await, indexes).await, "4");
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_runs_out() {
    let database = PostgresFixture::create().await;
    let one = fresh_id();
    let other = fresh_id();
    let names = ["projector", "relay"].map(str::to_owned);
    let hour = Duration::from_secs(3600);
    let both = &names[..];
    let first = &names[..1];
    assert_eq!(
        database.acquire_leases(first, one, hour).await.unwrap(),
        first
    );
    assert_eq!(
        database.acquire_leases(first, one, hour).await.unwrap(),
        first
    );
    assert_eq!(
        database.acquire_leases(both, other, hour).await.unwrap(),
        &names[1..]
    );
    database.release_leases(other).await.unwrap();
    assert_eq!(
        database.acquire_leases(first, other, hour).await.unwrap(),
        [""; 0]
    );
    assert!(database.is_leased("projector").await.unwrap());
    assert!(!database.is_leased("relay").await.unwrap());

    database.release_leases(one).await.unwrap();
    let taken = database.acquire_leases(first, other, Duration::ZERO).await;
    assert_eq!(taken.unwrap(), first);
    assert!(!database.is_leased("projector").await.unwrap());
    assert_eq!(
        database.acquire_leases(both, one, hour).await.unwrap(),
        both
    );
}

#[tokio::test]
async fn the_first_master_key_is_remembered() {
    let database = PostgresFixture::unbound().await;
    let bound = database.bind_keys(b"one", KeyBinding::Bind).await.unwrap();
    assert_eq!(bound, None);
    let other = database.bind_keys(b"two", KeyBinding::Bind).await.unwrap();
    assert_eq!(other, Some(KeyMismatch::OtherMasterKey));
}
