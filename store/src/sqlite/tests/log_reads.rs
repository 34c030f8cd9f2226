use super::*;
use crate::engine::EventLog as _;
use crate::log::{LogFilter, LogPage, MAX_POSITIONS_PER_PAGE};
use crate::readers::Scope;
use roentgen_domain::ids::PatientId;

const NONE: [u64; 0] = [];

fn other_tenant() -> TenantId {
    Uuid::from_u128(0x07e4).into()
}

/// Writes ten events of two tenants alternately; odd positions are the first tenant's, the last two events name a
/// patient.
async fn ten_events() -> SqliteFixture {
    let bed = SqliteFixture::new().await;
    let mut ours = creating(stream(1), 5).events;
    let mut theirs = creating(stream(2), 5).events;
    for (n, event) in theirs.iter_mut().enumerate() {
        event.tenant_id = other_tenant();
        event.stream_type = "ImagingStudy";
        event.event_type = if n % 2 == 0 {
            "ImagingStudy.Available"
        } else {
            "ImagingStudy.Updated"
        };
    }
    ours[4].payload = format!("{{\"patient_id\": \"{}\"}}", patient());
    theirs[4].payload.clone_from(&ours[4].payload);
    let events = ours
        .into_iter()
        .zip(theirs)
        .flat_map(|(one, other)| [one, other])
        .collect();
    let checks = vec![check(stream(1), 0), check(stream(2), 0)];
    bed.send(&[Append {
        checks,
        events,
        ..Append::default()
    }])
    .await;
    bed
}

fn patient() -> PatientId {
    Uuid::from_u128(0x9a7).into()
}

fn seen(page: &LogPage) -> (Vec<u64>, u64) {
    (
        page.events.iter().map(|event| event.position).collect(),
        page.scanned_to,
    )
}

#[tokio::test]
async fn an_empty_log_has_an_empty_page() {
    let bed = SqliteFixture::new().await;
    let page = bed
        .engine
        .read_log(0, 10, &LogFilter::default())
        .await
        .unwrap();
    assert_eq!(seen(&page), (vec![], 0));
}

#[tokio::test]
async fn a_page_says_how_far_it_looked() {
    let bed = ten_events().await;
    let ours = LogFilter {
        tenant_id: Some(tenant()),
        ..LogFilter::default()
    };
    let page = async |after, limit| seen(&bed.engine.read_log(after, limit, &ours).await.unwrap());
    assert_eq!(page(0, 2).await, (vec![1, 3], 3));
    assert_eq!(page(3, 10).await, (vec![5, 7, 9], 10));
    assert_eq!(page(9, 10).await, (vec![], 10));
    assert_eq!(page(10, 10).await, (vec![], 10));
    assert_eq!(page(50, 10).await, (vec![], 50));
    assert_eq!(page(3, 0).await, (vec![], 3));
    assert_eq!(page(u64::MAX, 10).await, (vec![], u64::MAX));
}

#[tokio::test]
async fn filters_hold_together() {
    let bed = ten_events().await;
    let all = LogFilter::default;
    let page =
        async |filter: LogFilter| seen(&bed.engine.read_log(1, 10, &filter).await.unwrap()).0;
    let updated = vec!["ImagingStudy.Updated".to_owned()];
    let two = vec![updated[0].clone(), "ImagingOrder.Created".to_owned()];
    assert_eq!(page(all()).await, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(
        page(LogFilter {
            event_types: updated.clone(),
            ..all()
        })
        .await,
        [4, 8]
    );
    assert_eq!(
        page(LogFilter {
            event_types: two,
            ..all()
        })
        .await,
        [3, 4, 5, 7, 8, 9]
    );
    assert_eq!(
        page(LogFilter {
            stream_id: Some(stream(2)),
            ..all()
        })
        .await,
        [2, 4, 6, 8, 10]
    );
    assert_eq!(
        page(LogFilter {
            patient_id: Some(patient()),
            ..all()
        })
        .await,
        [9, 10]
    );
    let study = LogFilter {
        stream_type: Some("ImagingStudy".to_owned()),
        ..all()
    };
    assert_eq!(page(study.clone()).await, [2, 4, 6, 8, 10]);
    assert_eq!(
        page(LogFilter {
            tenant_id: Some(tenant()),
            ..study.clone()
        })
        .await,
        NONE
    );
    let narrow = LogFilter {
        tenant_id: Some(other_tenant()),
        event_types: updated,
        stream_id: Some(stream(2)),
        ..study
    };
    assert_eq!(page(narrow.clone()).await, [4, 8]);
    assert_eq!(
        page(LogFilter {
            patient_id: Some(patient()),
            ..narrow
        })
        .await,
        NONE
    );
}

#[tokio::test]
async fn what_a_caller_says_is_never_sql() {
    let bed = ten_events().await;
    let nasty = "x') OR 1=1 --\"'".to_owned();
    let types = LogFilter {
        event_types: vec![nasty.clone()],
        ..LogFilter::default()
    };
    assert_eq!(
        seen(&bed.engine.read_log(0, 10, &types).await.unwrap()),
        (vec![], 10)
    );
    let stream_type = LogFilter {
        stream_type: Some(nasty),
        ..LogFilter::default()
    };
    assert_eq!(
        seen(&bed.engine.read_log(0, 10, &stream_type).await.unwrap()),
        (vec![], 10)
    );
}

/// A log of 250,001 positions of which only the first and the last exist; inserted with SQL, since the test is about
/// reading.
#[tokio::test]
async fn a_page_looks_at_so_many_positions_at_the_most() {
    let bed = SqliteFixture::new().await;
    bed.send(&[creating(stream(1), 1)]).await;
    bed.tamper(
        "DROP TRIGGER events_go_to_the_end; DROP TRIGGER events_take_free_versions; \
         INSERT INTO events SELECT 250001, tenant, stream_type, stream_id, 2, event_id, type, \
         schema_version, recorded_at, payload, sealed, metadata, leaf, hash FROM events",
    )
    .await
    .unwrap();
    for stream_id in [None, Some(stream(1))] {
        let filter = LogFilter {
            stream_id,
            ..LogFilter::default()
        };
        let page = async |after| seen(&bed.engine.read_log(after, 9, &filter).await.unwrap());
        assert_eq!(page(0).await, (vec![1], MAX_POSITIONS_PER_PAGE));
        assert_eq!(
            page(MAX_POSITIONS_PER_PAGE).await,
            (vec![], 2 * MAX_POSITIONS_PER_PAGE)
        );
        assert_eq!(
            page(2 * MAX_POSITIONS_PER_PAGE).await,
            (vec![250_001], 250_001)
        );
    }
}

#[tokio::test]
async fn a_stream_is_read_from_any_version() {
    let bed = ten_events().await;
    let read = async |after, limit| {
        let events = bed
            .engine
            .read_stream(Scope::AllTenants, stream(1), after, limit)
            .await
            .unwrap();
        events.iter().map(|event| event.version).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 2).await, [1, 2]);
    assert_eq!(read(2, 100).await, [3, 4, 5]);
    assert_eq!(read(5, 100).await, NONE);
    assert!(bed.engine.event_at(0).await.unwrap().is_none());
    assert!(bed.engine.event_at(u64::MAX).await.unwrap().is_none());
}
