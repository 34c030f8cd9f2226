//! Tests of the backfill: rows written by `COPY`.

use super::*;
use crate::engine::{GenerationStore as _, ReadModelStore as _};
use crate::readers::Scope;

/// Creates a generation that is being built, and returns a batch that adds rows to it.
async fn filling(database: &PostgresFixture, rows: Vec<Row>) -> ProjectionBatch {
    let table = Table {
        generation: 2,
        ..TABLE
    };
    let new = NewGeneration {
        tables: vec![table],
        state: GenerationState::Filling { upto: 9 },
    };
    database.create_tables(&[table]).await.unwrap();
    database.create_generations(&[new]).await.unwrap();
    let mut batch = batch(Checkpoint::START, at(2), rows);
    batch.from[0].0 = table;
    batch.rows[0].0 = table;
    batch.filling = true;
    batch
}

#[tokio::test]
async fn what_is_filled_is_read_as_it_was_written() {
    let database = with_rows(vec![]).await;
    let patient = Row {
        patient_id: Some(fresh_id().into()),
        document: "{\"name\": \"M\u{fc}ller\"}".to_owned(),
        sealed: vec![0, 255, 10, 13],
        ..row(1, "requested", Some(5))
    };
    let nothing = Row {
        values: vec![],
        sealed: vec![],
        ..row(2, "requested", None)
    };
    let rows = vec![patient, nothing, row(3, "\u{e4}\n\t", None)];
    let batch = filling(&database, rows.clone()).await;
    let table = batch.from[0].0;
    let ids = rows.iter().map(|row| row.id);
    assert!(database.write_projection(&batch).await.unwrap());
    assert!(
        !database.write_projection(&batch).await.unwrap(),
        "moved already"
    );
    database.create_indexes(&[table]).await.unwrap();
    let ids: Vec<_> = ids.collect();
    let mut found = database
        .read_rows(Scope::AllTenants, table, &ids, usize::MAX)
        .await
        .unwrap();
    found.sort_by_key(|row| row.id);
    let mut expected = rows;
    expected[1].values = vec![Value::Null; ORDERS.columns.len()];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_cannot_be_filled_in_is_refused_whole() {
    let database = with_rows(vec![]).await;
    let mut wrong = row(1, "requested", None);
    wrong.values[1] = Value::Text("no id".to_owned());
    let batch = filling(&database, vec![row(2, "requested", None), wrong]).await;
    let refused = database.write_projection(&batch).await;
    assert!(
        matches!(refused, Err(EngineError::Corrupt(_))),
        "{refused:?}"
    );
    let table = batch.from[0].0;
    let twice = ProjectionBatch {
        rows: vec![(table, vec![row(3, "requested", None); 2])],
        ..batch
    };
    database.create_indexes(&[table]).await.unwrap();
    let refused = database.write_projection(&twice).await;
    assert!(
        matches!(refused, Err(EngineError::Rejected(_))),
        "{refused:?}"
    );
    assert_eq!(database.count_rows(table).await.unwrap(), 0);
    let generations = database.generations().await.unwrap();
    assert!(
        generations
            .iter()
            .any(|generation| generation.checkpoint == Checkpoint::START)
    );
}
