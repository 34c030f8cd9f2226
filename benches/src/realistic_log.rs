//! A log with realistic interleaving: orders advance while others are created, so that the events of one stream are far
//! apart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use roentgen_domain::aggregate::Aggregate as _;
use roentgen_domain::ids::OrderId;
use roentgen_domain::order::{Command, Order, Status, Update};
use roentgen_store::fair::ShareOwner;
use roentgen_store::log::Append;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::catch_up::{add, context, create};
use crate::database::BenchNode;

const WRITERS: u64 = 64;
/// Number of new orders per append.
const BATCH_SIZE: usize = 50;
/// Number of the writer's appends between two steps of an order: some 100,000 positions.
const LATER: usize = 8;
const STEPS: [Status; 3] = [Status::Scheduled, Status::InProgress, Status::Completed];
/// Number of events of an order.
const EACH: u64 = 1 + STEPS.len() as u64;

/// Appends this number of events: new orders and their later steps.
pub(crate) async fn append_realistic_log(node: &Arc<BenchNode>, events: u64) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let each = events / WRITERS / (EACH * BATCH_SIZE as u64);
    for _ in 0..WRITERS {
        tasks.spawn(write(Arc::clone(node), each));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Orders of one append, and their version.
struct CreatedOrders {
    orders: Vec<(OrderId, Order)>,
    version: u64,
}

/// Appends new orders until there are enough, and advances the older ones in the same appends; then advances the rest.
async fn write(node: Arc<BenchNode>, appends: u64) -> anyhow::Result<()> {
    let mut made = VecDeque::<CreatedOrders>::new();
    let rest = LATER as u64 * (EACH - 1);
    for round in 0..appends + rest {
        let mut append = Append::default();
        for older in made.iter_mut().rev().skip(LATER - 1).step_by(LATER) {
            advance_orders(older, &mut append)?;
        }
        let mut orders = Vec::new();
        if round < appends {
            for _ in 0..BATCH_SIZE {
                orders.push(create(&node, &mut append).await?);
            }
        }
        made.push_back(CreatedOrders { orders, version: 1 });
        made.drain(..made.len().saturating_sub(LATER * STEPS.len()));
        if !append.events.is_empty() {
            let deadline = Instant::now() + Duration::from_secs(30);
            node.store
                .appender
                .append(ShareOwner::System, append, deadline)
                .await?;
        }
    }
    Ok(())
}

fn advance_orders(made: &mut CreatedOrders, append: &mut Append) -> anyhow::Result<()> {
    let step = usize::try_from(made.version - 1)?;
    let Some(status) = STEPS.get(step) else {
        return Ok(());
    };
    for (id, order) in &mut made.orders {
        let update = Update {
            status: Some(*status),
            ..Update::default()
        };
        let update = Command::Update(Box::new(update));
        let events = Order::decide(Some(order), update, &context())?;
        *order = add(
            append,
            *id,
            (Some(order.clone()), made.version),
            events,
            None,
        )?;
    }
    made.version += 1;
    Ok(())
}
