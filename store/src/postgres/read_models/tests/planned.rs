use crate::engine::{GenerationStore as _, ReadModelStore as _};
use sqlx::{PgConnection, Row as _};

use super::*;
use crate::postgres::read_models::bind;
use crate::postgres::{DIALECT, composed};
use crate::sql::ladder::{LADDER, TABLE, rows, walks};

const ROWS: u64 = 20_000;

/// Returns the plan that the server would use and cache.
async fn plan(connection: &mut PgConnection, query: &ListQuery) -> String {
    let list = DIALECT.list(TABLE, query);
    let explain = sqlx::query(composed(format!("EXPLAIN (COSTS OFF) {}", list.sql)));
    let lines = list.args.into_iter().fold(explain, bind);
    let lines = lines.persistent(false).fetch_all(connection).await.unwrap();
    let lines = lines.iter().map(|line| line.get::<String, _>(0));
    lines.collect::<Vec<_>>().join("\n")
}

/// Asserts that each list query uses its index and no other.
async fn walks_keep_to_their_indexes(connection: &mut PgConnection, when: &str) {
    for (query, index) in walks() {
        let plan = plan(connection, &query).await;
        let name = index.unwrap_or("ladder_v1_by_id");
        let scans = plan.lines().filter(|line| line.contains("Scan"));
        let scans: Vec<_> = scans.collect();
        assert!(
            matches!(scans.as_slice(), [one] if one.contains(&format!("using {name} "))),
            "{when}, {name}:\n{plan}"
        );
        // Only the query for a single row may sort.
        let sorts = plan.contains("Sort");
        assert!(index.is_none() || !sorts, "{when}, {name}:\n{plan}");
    }
}

#[tokio::test]
async fn no_statistics_turn_a_walk_to_another_index() {
    let database = PostgresFixture::create().await;
    database.create_tables(&[TABLE]).await.unwrap();
    database.create_indexes(&[TABLE]).await.unwrap();
    let new = NewGeneration {
        tables: vec![TABLE],
        state: GenerationState::Live,
    };
    database.create_generations(&[new]).await.unwrap();
    walks_keep_to_their_indexes(&mut database.server().await, "empty").await;

    for chunk in (0..ROWS).step_by(5_000) {
        let position = chunk / 5_000;
        let from = match position {
            0 => Checkpoint::START,
            later => at(later),
        };
        let batch = ProjectionBatch {
            from: vec![(TABLE, from)],
            rows: vec![(TABLE, rows(chunk..chunk + 5_000))],
            ..batch(from, at(position + 1), vec![])
        };
        assert!(database.write_projection(&batch).await.unwrap());
    }
    walks_keep_to_their_indexes(&mut database.server().await, "full").await;

    let analyze = format!("ANALYZE read.{}", TABLE.name());
    ask(&mut database.owner().await, &analyze).await;
    walks_keep_to_their_indexes(&mut database.server().await, "analyzed").await;
    for (query, index) in walks() {
        assert_eq!(query.model, &LADDER);
        assert!(
            database.live_list(&query).await.unwrap().is_empty(),
            "{index:?}"
        );
    }
}
