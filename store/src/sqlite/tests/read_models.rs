use crate::engine::{GenerationStore as _, LeaseStore as _, ReadModelStore as _};
use std::time::Duration;

use super::*;
use crate::generation::{GenerationState, NewGeneration};
use crate::read_model::{
    Checkpoint, Column, ColumnKind, Filter, Index, ListQuery, ParkedStream, ProjectionBatch,
    ReadModel, Row, Table, Value,
};
use crate::readers::Scope;

static ITEMS: ReadModel = ReadModel {
    name: "items",
    version: 1,
    columns: &[
        Column {
            name: "holder_id",
            kind: ColumnKind::Uuid,
        },
        Column {
            name: "status",
            kind: ColumnKind::Text,
        },
        Column {
            name: "urgent",
            kind: ColumnKind::Bool,
        },
    ],
    indexes: &[
        Index {
            columns: &["status"],
            sparse: false,
        },
        Index {
            columns: &["holder_id"],
            sparse: true,
        },
        Index {
            columns: &[],
            sparse: false,
        },
    ],
};

const TABLE: Table = Table {
    model: &ITEMS,
    generation: 1,
};

async fn checkpoint(bed: &SqliteFixture) -> Checkpoint {
    bed.engine.generations().await.unwrap()[0].checkpoint
}

async fn with_items(rows: Vec<Row>) -> SqliteFixture {
    let bed = SqliteFixture::new().await;
    let new = NewGeneration {
        tables: vec![TABLE],
        state: GenerationState::Live,
    };
    for _ in 0..2 {
        bed.engine.create_tables(&[TABLE]).await.unwrap();
        bed.engine.create_indexes(&[TABLE]).await.unwrap();
        bed.engine
            .create_generations(std::slice::from_ref(&new))
            .await
            .unwrap();
    }
    assert!(
        bed.engine
            .write_projection(&moving(Checkpoint::START, at(1), rows))
            .await
            .unwrap()
    );
    bed
}

fn at(position: u64) -> Checkpoint {
    Checkpoint {
        position,
        hash: [u8::try_from(position).unwrap(); 32],
    }
}

fn moving(from: Checkpoint, to: Checkpoint, rows: Vec<Row>) -> ProjectionBatch {
    ProjectionBatch {
        from: vec![(TABLE, from)],
        to,
        rows: vec![(TABLE, rows)],
        parked: vec![],
        left_out: vec![],
        filling: false,
    }
}

fn item(n: u8, status: &str, urgent: bool) -> Row {
    Row {
        id: Uuid::from_u128(u128::from(n)),
        tenant_id: tenant(),
        patient_id: n.is_multiple_of(2).then(|| Uuid::from_u128(77).into()),
        version: 1,
        sort_key: vec![n, 0xff, n],
        values: vec![
            Value::uuid(urgent.then(|| Uuid::from_u128(5))),
            Value::text(Some(status)),
            Value::Bool(urgent),
        ],
        document: format!("{{\"n\": {n}}}"),
        sealed: vec![n; 3],
    }
}

fn four() -> Vec<Row> {
    vec![
        item(4, "open", true),
        item(1, "open", false),
        item(3, "held", true),
        item(2, "done", false),
    ]
}

fn query(prefixes: Vec<Vec<(&'static str, Value)>>) -> ListQuery {
    ListQuery {
        model: &ITEMS,
        tenant_id: tenant(),
        prefixes,
        filters: vec![],
        after: None,
        from: None,
        before: None,
        limit: 10,
    }
}

async fn listed(bed: &SqliteFixture, query: &ListQuery) -> Vec<u8> {
    bed.engine
        .live_list(query)
        .await
        .unwrap()
        .iter()
        .map(|row| row.sort_key[0])
        .collect()
}

fn status(of: &str) -> Vec<(&'static str, Value)> {
    vec![("status", Value::Text(of.to_owned()))]
}

mod upsert {
    use super::*;

    #[tokio::test]
    async fn they_come_back_whole() {
        let bed = with_items(four()).await;
        let ids: Vec<Uuid> = [2, 4, 99].map(Uuid::from_u128).to_vec();
        let mut rows = bed
            .engine
            .live_rows(Scope::AllTenants, &ITEMS, &ids)
            .await
            .unwrap();
        rows.sort_by_key(|row| row.id);
        assert_eq!(rows, [item(2, "done", false), item(4, "open", true)]);
        assert!(
            bed.engine
                .live_rows(Scope::AllTenants, &ITEMS, &[])
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn the_next_version_replaces_them() {
        let bed = with_items(four()).await;
        let mut next = item(4, "done", false);
        next.version = 2;
        next.sort_key = vec![9];
        assert!(
            bed.engine
                .write_projection(&moving(at(1), at(2), vec![next.clone()]))
                .await
                .unwrap()
        );
        assert_eq!(
            bed.engine
                .live_rows(Scope::AllTenants, &ITEMS, &[next.id])
                .await
                .unwrap(),
            [next]
        );
        assert_eq!(listed(&bed, &query(vec![status("open")])).await, [1]);
    }

    #[tokio::test]
    async fn large_batches_are_whole() {
        let rows: Vec<Row> = (0..600_u128)
            .map(|n| Row {
                id: Uuid::from_u128(n),
                sort_key: n.to_be_bytes().to_vec(),
                ..item(1, "open", true)
            })
            .collect();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let bed = with_items(rows).await;
        assert_eq!(
            bed.engine
                .live_rows(Scope::AllTenants, &ITEMS, &ids)
                .await
                .unwrap()
                .len(),
            600
        );
    }
}

mod checkpoint_conflict {
    use super::*;

    #[tokio::test]
    async fn nothing_is_written() {
        let bed = with_items(four()).await;
        let late = |from| moving(from, at(9), vec![item(9, "late", false)]);
        let other_hash = Checkpoint {
            hash: [0xee; 32],
            ..at(1)
        };
        for from in [Checkpoint::START, at(2), other_hash] {
            assert!(
                !bed.engine.write_projection(&late(from)).await.unwrap(),
                "{from:?}"
            );
        }
        assert_eq!(checkpoint(&bed).await, at(1));
        assert!(
            bed.engine
                .live_rows(Scope::AllTenants, &ITEMS, &[Uuid::from_u128(9)])
                .await
                .unwrap()
                .is_empty()
        );
        assert!(bed.engine.write_projection(&late(at(1))).await.unwrap());
        assert_eq!(checkpoint(&bed).await, at(9));
    }

    #[tokio::test]
    async fn of_several_tables_all_move_or_none() {
        let bed = with_items(vec![]).await;
        let other = Table {
            generation: 2,
            ..TABLE
        };
        let of_both = || ProjectionBatch {
            from: vec![(TABLE, at(1)), (other, Checkpoint::START)],
            ..moving(at(1), at(7), four())
        };
        assert!(!bed.engine.write_projection(&of_both()).await.unwrap());
        assert_eq!(checkpoint(&bed).await, at(1));
        let new = NewGeneration {
            tables: vec![other],
            state: GenerationState::Filling { upto: 7 },
        };
        bed.engine.create_generations(&[new]).await.unwrap();
        assert!(bed.engine.write_projection(&of_both()).await.unwrap());
        let generations = bed.engine.generations().await.unwrap();
        assert!(
            generations
                .iter()
                .all(|generation| generation.checkpoint == at(7))
        );
    }

    #[tokio::test]
    async fn rows_that_are_refused_leave_it_where_it_was() {
        let bed = with_items(vec![]).await;
        let mut writing = bed.engine.read.write().await.unwrap();
        sqlx::query("DROP TABLE items_v1")
            .execute(&mut *writing)
            .await
            .unwrap();
        drop(writing);
        let refused = bed
            .engine
            .write_projection(&moving(at(1), at(2), four()))
            .await;
        assert!(
            matches!(refused, Err(EngineError::Rejected(_))),
            "{refused:?}"
        );
        assert_eq!(checkpoint(&bed).await, at(1));
    }
}

#[tokio::test]
async fn the_first_position_parked_stays() {
    let bed = with_items(vec![]).await;
    let parked = |position, reason: &str| ParkedStream {
        model: "items".to_owned(),
        stream_id: stream(1),
        position,
        reason: reason.to_owned(),
    };
    for (n, parked_stream) in [parked(4, "first"), parked(6, "second")]
        .into_iter()
        .enumerate()
    {
        let from = at(n as u64 + 1);
        let batch = ProjectionBatch {
            parked: vec![parked_stream],
            ..moving(from, at(from.position + 1), vec![])
        };
        assert!(bed.engine.write_projection(&batch).await.unwrap());
    }
    assert_eq!(bed.engine.parked().await.unwrap(), [parked(4, "first")]);
}

mod list {
    use super::*;

    #[tokio::test]
    async fn a_union_of_prefixes_is_one_ordered_list() {
        let bed = with_items(four()).await;
        assert_eq!(listed(&bed, &query(vec![vec![]])).await, [1, 2, 3, 4]);
        assert_eq!(
            listed(&bed, &query(vec![status("open"), status("done")])).await,
            [1, 2, 4]
        );
        assert!(listed(&bed, &query(vec![])).await.is_empty());
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gap_or_repeat() {
        let bed = with_items(four()).await;
        let mut pages = Vec::new();
        let mut page = ListQuery {
            limit: 1,
            ..query(vec![status("open"), status("done")])
        };
        while let Some(last) = bed.engine.live_list(&page).await.unwrap().pop() {
            pages.push(last.sort_key[0]);
            page.after = Some(last.sort_key);
        }
        assert_eq!(pages, [1, 2, 4]);
    }

    #[tokio::test]
    async fn bounds_filters_and_tenants_hold() {
        let bed = with_items(four()).await;
        let everything = || query(vec![vec![]]);
        let from = ListQuery {
            from: Some(vec![2]),
            before: Some(vec![4]),
            ..everything()
        };
        assert_eq!(listed(&bed, &from).await, [2, 3]);
        let is = |column, value| ListQuery {
            filters: vec![Filter::Equals(column, value)],
            ..everything()
        };
        assert_eq!(listed(&bed, &is("urgent", Value::Bool(true))).await, [3, 4]);
        assert_eq!(listed(&bed, &is("holder_id", Value::Null)).await, [1, 2]);
        assert_eq!(
            listed(&bed, &is("holder_id", Value::Uuid(Uuid::from_u128(5)))).await,
            [3, 4]
        );
        let elsewhere = ListQuery {
            tenant_id: Uuid::from_u128(1).into(),
            ..everything()
        };
        assert!(listed(&bed, &elsewhere).await.is_empty());
    }

    #[tokio::test]
    async fn contained_text_means_its_letters() {
        let rows = vec![item(1, "50% Open_x", false), item(2, "50 open.x", false)];
        let bed = with_items(rows).await;
        let contains = |text: &str| ListQuery {
            filters: vec![Filter::Contains("status", text.to_owned())],
            ..query(vec![vec![]])
        };
        assert_eq!(listed(&bed, &contains("0% O")).await, [1]);
        assert_eq!(listed(&bed, &contains("open")).await, [2]);
        assert_eq!(listed(&bed, &contains("n_x")).await, [1]);
    }
}

mod leases {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    async fn lease(
        bed: &SqliteFixture,
        names: &[&str],
        holder: Uuid,
        ttl: Duration,
    ) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        bed.engine
            .acquire_leases(&names, holder, ttl)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn one_holds_it_and_renews_it() {
        let bed = SqliteFixture::new().await;
        let one = Uuid::from_u128(1);
        let other = Uuid::from_u128(2);
        let both = ["another", "leader"];
        assert_eq!(lease(&bed, &["leader"], one, LONG).await, ["leader"]);
        assert_eq!(lease(&bed, &both, other, LONG).await, ["another"]);
        assert_eq!(lease(&bed, &both, one, LONG).await, ["leader"]);
        bed.engine.release_leases(other).await.unwrap();
        assert!(lease(&bed, &["leader"], other, LONG).await.is_empty());
        assert!(bed.engine.is_leased("leader").await.unwrap());
        bed.engine.release_leases(one).await.unwrap();
        assert!(!bed.engine.is_leased("leader").await.unwrap());
        assert_eq!(lease(&bed, &both, other, LONG).await, both);
    }

    #[tokio::test]
    async fn one_that_ran_out_is_taken_over() {
        let bed = SqliteFixture::new().await;
        let one = Uuid::from_u128(1);
        let other = Uuid::from_u128(2);
        let leader = ["leader"];
        assert_eq!(lease(&bed, &leader, one, Duration::ZERO).await, leader);
        assert!(!bed.engine.is_leased("leader").await.unwrap());
        assert_eq!(lease(&bed, &leader, other, LONG).await, leader);
        assert!(lease(&bed, &leader, one, LONG).await.is_empty());
    }
}
