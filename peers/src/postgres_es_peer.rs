//! postgres-es set up as its documentation says: `CqrsFramework` over its event store, without queries and snapshots.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use postgres_es::{PostgresCqrs, postgres_cqrs};

use crate::database::Scratch;
use crate::measure::{self, Worker};
use crate::order::{Command, Created, Order};

/// Name of the measurement.
pub const NAME: &str = "postgres-es";
const WRITERS: [u32; 3] = [1, 8, 64];

/// Creates orders under new ids: a load that finds nothing, and an append.
pub async fn measure(scratch: &Scratch, time: Duration) -> anyhow::Result<()> {
    scratch.run(include_str!("sql/postgres_es.sql")).await?;
    for writers in WRITERS {
        // One connection per writer: with the default pool of 10, most of the 64 writers would wait for a connection.
        let pool = scratch.pool(writers).await?;
        let cqrs = Arc::new(postgres_cqrs(pool.clone(), vec![], ()));
        let workers = (0..writers).map(|_| Creator(Arc::clone(&cqrs))).collect();
        measure::measure(NAME, workers, time).await?;
        pool.close().await;
    }
    Ok(())
}

struct Creator(Arc<PostgresCqrs<Order>>);

impl Worker for Creator {
    async fn step(&mut self) -> anyhow::Result<u64> {
        let order = Box::new(Created::fresh());
        let id = order.id().to_string();
        let created = self.0.execute(&id, Command::Create(order)).await;
        created.context("postgres-es refused an order")?;
        Ok(1)
    }
}
