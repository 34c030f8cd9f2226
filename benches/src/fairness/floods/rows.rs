//! Changes of one order after the other, each with much PHI: a row that retained every sealed part would be rewritten
//! with each change.

use serde_json::{Value, json};

use super::order;
use crate::fairness::flood::{Asked, Caller};

const CALLERS: usize = 8;
const PHI_BYTES: usize = 60_000;

pub(super) fn callers(procedure: &str) -> Vec<Caller> {
    (0..CALLERS).map(|_| caller(procedure.to_owned())).collect()
}

/// Changes an order until it accepts no more changes, and then creates the next one.
fn caller(procedure: String) -> Caller {
    let mut place = None;
    let mut number = 0_u64;
    let prose = "x".repeat(PHI_BYTES);
    Box::new(move |last| {
        match last.map(|answer| answer.status) {
            Some(201) => {
                let created: Option<Value> =
                    last.and_then(|answer| serde_json::from_slice(&answer.body).ok());
                let id = created.as_ref().and_then(|order| order.get("id")?.as_str());
                place = id.map(|id| format!("/imaging/orders/{id}"));
            }
            Some(409) => place = None,
            Some(_) | None => {}
        }
        number += 1;
        match &place {
            None => Asked::with("POST", "/imaging/orders", order(&procedure).to_string()),
            Some(place) => {
                let body = json!({ "metadata": { "number": number, "text": prose } });
                Asked::with("PATCH", place.clone(), body.to_string())
            }
        }
    })
}
