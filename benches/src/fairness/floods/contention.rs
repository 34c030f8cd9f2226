//! Changes of one order by many at once: of their own tenant's, and of the other tenant's, which they must not learn of.

use serde_json::json;

use super::an_order;
use crate::fairness::Site;
use crate::fairness::flood::{Asked, Caller};
use crate::wire::Connection;

const CALLERS: usize = 200;

pub(super) async fn callers(
    site: &Site,
    admin: &mut Connection,
    procedure: &str,
) -> anyhow::Result<Vec<Caller>> {
    let own = an_order(admin, procedure).await?;
    let orders = [own, site.work.ward_order.clone()];
    let callers = orders.iter().cycle().take(CALLERS).enumerate();
    Ok(callers
        .map(|(caller, order)| changes(caller, order.clone()))
        .collect())
}

fn changes(caller: usize, order: String) -> Caller {
    let mut number = 0_u64;
    Box::new(move |_| {
        number += 1;
        let body = json!({ "metadata": { "caller": caller, "number": number } });
        Asked::with("PATCH", order.clone(), body.to_string())
    })
}
