use std::time::Duration;

use roentgen_domain::json::Json;
use roentgen_store::fair::{FairShare, Limits, ShareOwner};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::ALLOCATED;

fn tenant(n: u128) -> TenantId {
    Uuid::from_u128(n).into()
}

fn schema(value: &Value) -> Schema {
    Schema::parse(&Json::from_serializable(value).unwrap()).unwrap()
}

/// Builds a validation job of a tenant, and the receiver of its result.
async fn question(asks: u128, of: &Value) -> (ValidationJob, oneshot::Receiver<ValidationResult>) {
    let limits = Limits {
        shared: 1,
        reserve: 0,
        little: 0,
        waiting: 1,
    };
    let share = FairShare::new("test", limits);
    let deadline = Instant::now() + Duration::from_secs(30);
    let party = ShareOwner::Tenant(tenant(asks));
    let turn = share.enter(party, 1, deadline).await.unwrap();
    let (reply, verdict) = oneshot::channel();
    let question = ValidationJob {
        tenant: tenant(asks),
        schema: schema(of),
        data: Some(json!("text")),
        reply,
        turn,
    };
    (question, verdict)
}

fn keeps(kept: &CompiledCache, whose: u128, of: &Value) -> bool {
    let key = sha256(&serde_json::to_vec(of).unwrap());
    kept.0.peek(tenant(whose), &key).is_some()
}

#[tokio::test]
async fn schema_is_compiled_once_for_a_tenant() {
    let mut kept = CompiledCache::new(BUDGET);
    let text = json!({ "type": "string" });
    let (asked, mut verdict) = question(1, &text).await;
    kept.answer(asked);
    assert_eq!(verdict.try_recv(), Ok(Ok(())));
    assert!(keeps(&kept, 1, &text));
    assert!(!keeps(&kept, 2, &text), "another tenant's is its own");
    let weight = kept.0.weight();
    let (asked, mut verdict) = question(1, &text).await;
    kept.answer(asked);
    assert_eq!(verdict.try_recv(), Ok(Ok(())));
    assert_eq!(kept.0.weight(), weight);
}

#[tokio::test]
async fn what_nobody_waits_for_is_neither_done_nor_kept() {
    let mut kept = CompiledCache::new(BUDGET);
    let large = json!({ "allOf": vec![json!({}); 3_000] });
    let (asked, verdict) = question(1, &large).await;
    drop(verdict);
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    kept.answer(asked);
    let taken = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(taken < 10_000, "{taken} bytes were taken for it");
    assert_eq!(kept.0.weight(), 0);
}

#[tokio::test]
async fn what_was_given_up_on_while_it_was_compiled_is_not_kept() {
    let mut kept = CompiledCache::new(BUDGET);
    let text = json!({ "type": "string" });
    let (reply, verdict) = oneshot::channel();
    drop(verdict);
    let judged = kept.judge(tenant(1), &schema(&text), None, &reply);
    assert_eq!(judged, Ok(()));
    assert!(!keeps(&kept, 1, &text));
}

#[tokio::test]
async fn refused_schema_is_not_kept() {
    let mut kept = CompiledCache::new(BUDGET);
    let wrong = json!({ "type": "flower" });
    let (asked, mut verdict) = question(1, &wrong).await;
    kept.answer(asked);
    assert!(verdict.try_recv().unwrap().is_err());
    assert_eq!(kept.0.weight(), 0);
}

#[tokio::test]
async fn kept_schemas_take_no_more_than_the_budget_and_tenants_share_it() {
    let mut kept = CompiledCache::new(1 << 20);
    let text = json!({ "type": "string" });
    let (asked, _verdict) = question(2, &text).await;
    kept.answer(asked);
    let large = |n: usize| {
        let names = (0..50).map(|at| (format!("{n}_{at}"), json!({ "minimum": n })));
        json!({ "properties": names.collect::<serde_json::Map<_, _>>() })
    };
    for n in 0..40 {
        let (asked, _verdict) = question(1, &large(n)).await;
        kept.answer(asked);
        assert!(kept.0.weight() <= 1 << 20);
    }
    assert!(!keeps(&kept, 1, &large(0)), "the oldest is gone");
    assert!(keeps(&kept, 1, &large(39)), "the newest is there");
    assert!(keeps(&kept, 2, &text), "and so is another tenant's");
}
