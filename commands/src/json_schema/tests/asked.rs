//! Tests of validation requests and their fair queueing.

use std::time::Duration;

use futures_util::poll;
use uuid::Uuid;

use super::*;

fn asker(tenant: u128, deadline: Instant) -> ValidationCaller {
    let tenant = Uuid::from_u128(tenant).into();
    ValidationCaller {
        party: ShareOwner::Tenant(tenant),
        tenant,
        deadline,
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn text() -> Schema {
    parsed(&json!({ "type": "string" }))
}

#[tokio::test]
async fn schemas_and_data_are_judged() {
    let schemas = Schemas::default();
    let asks = asker(1, later());
    schemas.judge(asks, &text(), None).await.unwrap();
    schemas
        .judge(asks, &text(), Some(json!("a")))
        .await
        .unwrap();
    let number = schemas.judge(asks, &text(), Some(json!(1))).await;
    let Err(CommandError::Invalid(wrong)) = number else {
        panic!("{number:?}");
    };
    assert_eq!(pointers(Err(wrong)), ["/structured_data"]);
    let none = schemas
        .judge(asks, &parsed(&json!({ "type": "flower" })), None)
        .await;
    assert!(matches!(none, Err(CommandError::Invalid(_))), "{none:?}");
}

#[tokio::test]
async fn verdict_that_does_not_come_by_the_deadline_is_a_refusal() {
    let schemas = Schemas::default();
    let _held = schemas
        .turns
        .enter(ShareOwner::System, 1, later())
        .await
        .unwrap();
    let late = schemas.judge(asker(1, Instant::now()), &text(), None).await;
    assert!(
        matches!(
            late,
            Err(CommandError::Store(StoreError::Unavailable(
                Unavailable::Crowded
            )))
        ),
        "{late:?}"
    );
}

#[tokio::test]
async fn tenant_with_many_schemas_waits_behind_itself() {
    let schemas = Schemas::default();
    let held = schemas
        .turns
        .enter(ShareOwner::System, 1, later())
        .await
        .unwrap();
    let text = text();
    let mut flood: Vec<_> = (0..ONE_AT_A_TIME.waiting)
        .map(|_| Box::pin(schemas.judge(asker(1, later()), &text, None)))
        .collect();
    for waiting in &mut flood {
        assert!(poll!(waiting).is_pending());
    }
    let crowded = schemas.judge(asker(1, later()), &text, None).await;
    assert!(crowded.is_err(), "so many wait, and no more");
    let mut other = Box::pin(schemas.judge(asker(2, later()), &text, None));
    assert!(poll!(&mut other).is_pending());
    drop(held);
    // The other requests are not polled any more: a share that one of them received would not be released.
    let (first, other) = tokio::join!(flood.remove(0), other);
    first.unwrap();
    other.unwrap();
}
