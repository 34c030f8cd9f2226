use crate::engine::{GenerationStore as _, ReadModelStore as _};
use sqlx::Row as _;

use super::*;
use crate::generation::{GenerationState, NewGeneration};
use crate::read_model::{Checkpoint, ListQuery, ProjectionBatch};
use crate::sql::ladder::{TABLE, rows, walks};
use crate::sqlite::read_models::DIALECT;
use crate::sqlite::statement::{bound, dynamic};

async fn plan(bed: &SqliteFixture, query: &ListQuery) -> String {
    let mut list = DIALECT.list(TABLE, query);
    list.sql = format!("EXPLAIN QUERY PLAN {}", list.sql);
    let mut reading = bed.engine.read.read().await.unwrap();
    let lines = reading.fetch_all(bound(list)).await.unwrap();
    let lines = lines.iter().map(|line| line.get::<String, _>("detail"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Asserts that each list query uses its index and no other.
async fn walks_keep_to_their_indexes(bed: &SqliteFixture, when: &str) {
    for (query, index) in walks() {
        let plan = plan(bed, &query).await;
        let name = index.unwrap_or("sqlite_autoindex_ladder_v1_1");
        let walked = plan.contains(&format!("USING INDEX {name} "));
        assert!(walked, "{when}, {name}:\n{plan}");
        // Only the query for a single row may sort.
        let sorts = plan.contains("TEMP B-TREE");
        assert!(index.is_none() || !sorts, "{when}, {name}:\n{plan}");
    }
}

#[tokio::test]
async fn no_statistics_turn_a_walk_to_another_index() {
    let bed = SqliteFixture::new().await;
    bed.engine.create_tables(&[TABLE]).await.unwrap();
    bed.engine.create_indexes(&[TABLE]).await.unwrap();
    let new = NewGeneration {
        tables: vec![TABLE],
        state: GenerationState::Live,
    };
    bed.engine.create_generations(&[new]).await.unwrap();
    walks_keep_to_their_indexes(&bed, "empty").await;

    let batch = ProjectionBatch {
        from: vec![(TABLE, Checkpoint::START)],
        to: Checkpoint {
            position: 1,
            hash: [1; 32],
        },
        rows: vec![(TABLE, rows(0..5_000))],
        parked: vec![],
        left_out: vec![],
        filling: false,
    };
    assert!(bed.engine.write_projection(&batch).await.unwrap());
    walks_keep_to_their_indexes(&bed, "full").await;

    {
        let mut writing = bed.engine.read.write().await.unwrap();
        dynamic("ANALYZE".to_owned())
            .execute(&mut *writing)
            .await
            .unwrap();
    }
    walks_keep_to_their_indexes(&bed, "analyzed").await;
}
