//! Heavy rows: neither a batch nor a list holds more of them at once than its share of memory.

use std::sync::Arc;

use roentgen_domain::ids::StreamId;
use roentgen_store::log::{Append, MAX_PAGE_BYTES};
use roentgen_store::read_model::ListQuery;

use crate::builders::{append_to_each, check, event, stream, tenant};
use crate::fault_injection::FaultyEngine;
use crate::harness::{ContractDatabase, ContractNode, verified_log};
use crate::tally_projection::{TALLY, folded, project, projected_all, rows};

on_both_engines!(
    a_batch_of_small_events_goes_on_with_few_heavy_rows_at_once,
    a_list_ends_where_its_rows_are_heavy_and_goes_on,
);

const HEAVY: usize = 200 * 1024;

/// Creates `count` streams with heavy rows.
async fn make_heavy(node: &ContractNode, count: usize) -> Vec<StreamId> {
    let streams: Vec<_> = (0..count).map(|_| stream()).collect();
    for id in &streams {
        let mut event = event(*id, 1);
        event.sealed = vec![7; HEAVY];
        let append = Append {
            checks: vec![check(*id, 0)],
            events: vec![event],
            ..Append::default()
        };
        node.append(append).await.unwrap();
    }
    streams
}

async fn a_batch_of_small_events_goes_on_with_few_heavy_rows_at_once(bed: &ContractDatabase) {
    let counted = FaultyEngine::wrap(bed.connect().await);
    let node = ContractNode::with_engine(Arc::clone(&counted) as _).await;
    project(&node, "leader").await;
    let streams = make_heavy(&node, 200).await;
    projected_all(&node).await;
    let small: Vec<_> = streams.iter().map(|id| (*id, 1)).collect();
    node.append(append_to_each(&small)).await.unwrap();
    projected_all(&node).await;
    let log = verified_log(&*node.engine).await;
    assert_eq!(rows(&*node.engine, &log).await, folded(&log));
    let most = counted.heaviest_rows();
    assert!((HEAVY..18 << 20).contains(&most), "{most} bytes at once");
}

async fn a_list_ends_where_its_rows_are_heavy_and_goes_on(bed: &ContractDatabase) {
    let node = bed.node().await;
    project(&node, "leader").await;
    let streams = make_heavy(&node, 60).await;
    projected_all(&node).await;
    let mut listed = Vec::new();
    let mut after = None;
    let mut pages = 0;
    loop {
        let query = ListQuery::all(&TALLY, tenant(), after, 500);
        let page = node.engine.live_list(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        let weight: usize = page.iter().map(|row| row.sealed.len()).sum();
        assert!(weight <= MAX_PAGE_BYTES + HEAVY, "{weight} bytes at once");
        after = Some(last.sort_key.clone());
        listed.extend(page.iter().map(|row| StreamId::from(row.id)));
        pages += 1;
    }
    let mut expected = streams;
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert!(pages > 1);
}
