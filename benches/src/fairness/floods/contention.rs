//! Concurrent changes of one order: of the flooding tenant's, and of the other tenant's, whose existence must not be
//! revealed.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{an_order, order};
use crate::fairness::Site;
use crate::fairness::flood::{Asked, Caller};
use crate::http_client::Connection;

const CALLERS: usize = 200;

pub(super) async fn callers(
    site: &Site,
    admin: &mut Connection,
    procedure: &str,
) -> anyhow::Result<Vec<Caller>> {
    let own = Arc::new(Mutex::new(an_order(admin, procedure).await?));
    let new = order(procedure).to_string();
    let callers = (0..CALLERS).map(|caller| match caller % 2 {
        0 => changes_own(caller, Arc::clone(&own), new.clone()),
        _ => changes_foreign(caller, site.work.ward_order.clone()),
    });
    Ok(callers.collect())
}

fn changes_foreign(caller: usize, order: String) -> Caller {
    let mut number = 0_u64;
    Box::new(move |_| {
        number += 1;
        change(caller, number, &order)
    })
}

/// Changes one order that all callers share, and continues with a new one when it accepts no more changes.
fn changes_own(caller: usize, own: Arc<Mutex<String>>, new: String) -> Caller {
    let mut number = 0_u64;
    let mut changed = String::new();
    Box::new(move |last| {
        number += 1;
        let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
        match last.map(|answer| (answer.status, &answer.body)) {
            Some((201, created)) => {
                let created = serde_json::from_slice(created).unwrap_or(Value::Null);
                let id = created.get("id").and_then(Value::as_str);
                *own = format!("/imaging/orders/{}", id.unwrap_or_default());
            }
            Some((409, _)) if *own == changed => {
                return Asked::with("POST", "/imaging/orders", new.clone());
            }
            Some(_) | None => {}
        }
        changed.clone_from(&own);
        change(caller, number, &own)
    })
}

fn change(caller: usize, number: u64, order: &str) -> Asked {
    let body = json!({ "metadata": { "caller": caller, "number": number } });
    Asked::with("PATCH", order, body.to_string())
}
