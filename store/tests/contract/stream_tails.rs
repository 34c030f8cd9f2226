//! Remaining events of streams after their first events, as rebuilds read them.

use roentgen_store::log::{LogFilter, MAX_PAGE_BYTES, StoredEvent};

use crate::builders::{STREAM_TYPE, stream, to};
use crate::harness::ContractDatabase;

on_both_engines!(
    come_in_the_order_in_which_streams_were_asked_for,
    end_with_the_stream_that_makes_a_page,
    follow_on_beginnings,
);

fn places(events: &[StoredEvent]) -> Vec<(u64, u64)> {
    events
        .iter()
        .map(|event| (event.position, event.version))
        .collect()
}

async fn come_in_the_order_in_which_streams_were_asked_for(bed: &ContractDatabase) {
    let node = bed.node().await;
    let one = stream();
    let two = stream();
    let single = stream();
    for append in [
        to(one, 0, 2),
        to(single, 0, 1),
        to(two, 0, 3),
        to(one, 2, 2),
    ] {
        node.append(append).await.unwrap();
    }
    let tails = async |streams: &[_], upto| {
        let tails = node.engine.stream_tails(streams, upto).await.unwrap();
        assert_eq!(tails.streams, streams.len());
        places(&tails.events)
    };
    let all = [(5, 2), (6, 3), (2, 2), (7, 3), (8, 4)];
    assert_eq!(tails(&[two, single, one], 8).await, all);
    assert_eq!(
        tails(&[one, two], 7).await,
        [(2, 2), (7, 3), (5, 2), (6, 3)]
    );
    assert_eq!(tails(&[two, one], 2).await, [(2, 2)]);
    assert_eq!(tails(&[stream(), single], 8).await, []);
    assert_eq!(tails(&[], 8).await, []);
    assert_eq!(node.engine.count_streams(STREAM_TYPE, 8).await.unwrap(), 3);
    assert_eq!(node.engine.count_streams(STREAM_TYPE, 3).await.unwrap(), 2);
    assert_eq!(node.engine.count_streams("Other", 8).await.unwrap(), 0);
}

async fn end_with_the_stream_that_makes_a_page(bed: &ContractDatabase) {
    let node = bed.node().await;
    let large = stream();
    let small = stream();
    let last = stream();
    let each = 200_000;
    let enough = (MAX_PAGE_BYTES / each) as u64 + 2;
    for version in 0..enough {
        let mut append = to(large, version, 1);
        append.events[0].payload = format!(r#"{{"long": "{}"}}"#, "x".repeat(each));
        node.append(append).await.unwrap();
    }
    for id in [small, last] {
        node.append(to(id, 0, 2)).await.unwrap();
    }
    let upto = node.position().await;
    let whole = async |streams: &[_]| {
        let tails = node.engine.stream_tails(streams, upto).await.unwrap();
        (tails.streams, tails.events.len() as u64)
    };
    let tail = enough - 1;
    assert_eq!(
        whole(&[large, small, last]).await,
        (1, tail),
        "one is whole"
    );
    assert_eq!(whole(&[small, large, last]).await, (2, tail + 1));
    assert_eq!(whole(&[small, last, large]).await, (3, tail + 2));
}

async fn follow_on_beginnings(bed: &ContractDatabase) {
    let node = bed.node().await;
    let one = stream();
    let two = stream();
    for append in [to(one, 0, 2), to(two, 0, 1), to(one, 2, 1)] {
        node.append(append).await.unwrap();
    }
    let beginnings = LogFilter {
        stream_type: Some(STREAM_TYPE.to_owned()),
        beginnings: true,
        ..LogFilter::default()
    };
    let page = node.engine.read_log(0, 10, &beginnings).await.unwrap();
    assert_eq!(
        (places(&page.events), page.scanned_to),
        (vec![(1, 1), (3, 1)], 4)
    );
    let others = LogFilter {
        stream_type: Some("Other".to_owned()),
        ..beginnings
    };
    let page = node.engine.read_log(0, 10, &others).await.unwrap();
    assert_eq!((places(&page.events), page.scanned_to), (vec![], 4));
}
