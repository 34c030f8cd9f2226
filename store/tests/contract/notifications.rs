//! Notifications between nodes about appended events.

use crate::builders::{stream, to};
use crate::harness::ContractDatabase;

on_postgres_only!(
    notification_wakes_other_node,
    a_node_that_could_not_listen_for_a_while_hears_what_was_said_meanwhile,
);

/// Nothing on these nodes reads the log, so only a notification of the other node can advance the known head.
async fn notification_wakes_other_node(bed: &ContractDatabase) {
    let one = bed.node().await;
    let other = bed.node().await;
    for (writer, reader) in [(&one, &other), (&other, &one)] {
        let mut known = reader.tail.head();
        let appended = writer.append(to(stream(), 0, 3)).await.unwrap();
        let heard = known.wait_for(|number| *number >= appended.position);
        heard.await.unwrap();
    }
    one.stop().await;
    other.stop().await;
}

async fn a_node_that_could_not_listen_for_a_while_hears_what_was_said_meanwhile(
    bed: &ContractDatabase,
) {
    let one = bed.node().await;
    let other = bed.node().await;
    let mut known = other.tail.head();
    let mut written = 0;
    for _ in 0..5 {
        cut_listeners(bed).await;
        let appended = one.append(to(stream(), 0, 1)).await.unwrap();
        written = appended.position;
    }
    known.wait_for(|number| *number >= written).await.unwrap();
    one.stop().await;
    other.stop().await;
}

/// Ends every listening connection to this database.
async fn cut_listeners(bed: &ContractDatabase) {
    bed.tamper(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND query ILIKE 'LISTEN%' AND pid <> pg_backend_pid()",
    )
    .await;
}
