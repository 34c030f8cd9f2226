//! A postgres-es program can read a log with Roentgen's schema through a view with the schema of postgres-es; it cannot
//! write to it.

use cqrs_es::persist::PersistedEventStore;
use cqrs_es::{AggregateError, CqrsFramework, EventStore};
use postgres_es::PostgresEventRepository;
use uuid::Uuid;

use crate::database::{DEFAULT_URL, Scratch, VARIABLE};
use crate::order::{Command, Created, Order};

type Store = PersistedEventStore<PostgresEventRepository, Order>;

#[tokio::test]
async fn reads_three_events_of_one_stream() -> anyhow::Result<()> {
    let scratch = scratch_with_view().await?;
    let id = three_events(&scratch).await?;
    let store = store(&scratch).await?;

    let events = store.load_events(&id.to_string()).await?;
    let sequences: Vec<usize> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert!(events.iter().all(|event| event.metadata.is_empty()));

    let loaded = store.load_aggregate(&id.to_string()).await?;
    assert_eq!(loaded.current_sequence, 3);
    assert_eq!(loaded.aggregate, Order::InProgress);
    scratch.drop().await
}

#[tokio::test]
async fn cannot_write_through_the_view() -> anyhow::Result<()> {
    let scratch = scratch_with_view().await?;
    let cqrs = CqrsFramework::new(store(&scratch).await?, vec![], ());

    let order = Box::new(Created::fresh());
    let id = order.id().to_string();
    let refused = cqrs.execute(&id, Command::Create(order)).await;
    assert!(
        matches!(refused, Err(AggregateError::UnexpectedError(_))),
        "{refused:?}"
    );
    scratch.drop().await
}

async fn scratch_with_view() -> anyhow::Result<Scratch> {
    let url = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT_URL.to_owned());
    let scratch = Scratch::create(&url).await?;
    scratch.run(include_str!("sql/our_log.sql")).await?;
    scratch.run(include_str!("sql/es_events.sql")).await?;
    Ok(scratch)
}

async fn store(scratch: &Scratch) -> anyhow::Result<Store> {
    let repository = PostgresEventRepository::new(scratch.pool(1).await?);
    let through_view = repository.with_tables("es_events", "es_snapshots");
    Ok(PersistedEventStore::new_event_store(through_view))
}

async fn three_events(scratch: &Scratch) -> anyhow::Result<Uuid> {
    let order = Created::fresh();
    let mut connection = scratch.connect().await?;
    let payloads = [serde_json::to_string(&order)?, "{}".into(), "{}".into()];
    let types = ["Created", "Scheduled", "InProgress"].map(|it| format!("ImagingOrder.{it}"));
    sqlx::query(include_str!("sql/append_to_our_log.sql"))
        .bind(order.id())
        .bind(&types[..])
        .bind(&payloads[..])
        .execute(&mut connection)
        .await?;
    Ok(order.id())
}
