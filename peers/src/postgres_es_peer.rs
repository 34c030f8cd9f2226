//! postgres-es as its documentation sets it up: `CqrsFramework` over its event store, no queries, no snapshots.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use postgres_es::{PostgresCqrs, postgres_cqrs};

use crate::database::Scratch;
use crate::measure::{self, Worker};
use crate::order::{Command, Created, Order};

/// The measure.
pub const NAME: &str = "postgres-es";
const WRITERS: [u32; 3] = [1, 8, 64];

/// Creates orders under fresh ids: a load that finds nothing, and an append.
pub async fn measure(scratch: &Scratch, time: Duration) -> anyhow::Result<()> {
    scratch.run(include_str!("sql/postgres_es.sql")).await?;
    for writers in WRITERS {
        // A connection for each writer: with its default pool of ten, most of 64 writers would wait for one.
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
