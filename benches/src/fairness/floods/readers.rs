//! Readers of everything: lists by page, the log by page with and without PHI, and its events as they arrive.

use super::{make, order};
use crate::fairness::Site;
use crate::fairness::flood::{Asked, Caller};
use crate::fairness::work::target;
use crate::http_client::{BenchResponse, header};

const CALLERS: usize = 200;
const ORDERS: usize = 2_000;
const FIRST_PAGE: &str = "/imaging/orders?limit=500";

pub(super) async fn callers(site: &Site, procedure: &str) -> anyhow::Result<Vec<Caller>> {
    let procedure = procedure.to_owned();
    make(site, "/imaging/orders", ORDERS, move |_| order(&procedure)).await?;
    let callers = (0..CALLERS).map(|caller| -> Caller {
        match caller % 4 {
            0 => Box::new(|last| Asked::get(next_page(last))),
            1 => Box::new(|last| Asked::get(events(last, "false"))),
            2 => Box::new(|last| Asked::get(events(last, "true"))),
            _ => Box::new(|_| Asked::Listen {
                path: "/events".to_owned(),
            }),
        }
    });
    Ok(callers.collect())
}

/// Returns the path of the page after the last one, or of the first one.
fn next_page(last: Option<&BenchResponse>) -> String {
    let link = last.and_then(|page| header(&page.head, "link"));
    link.and_then(target)
        .unwrap_or_else(|| FIRST_PAGE.to_owned())
}

/// Returns the path of the log's page after the last one, or of the first one.
fn events(last: Option<&BenchResponse>, phi: &str) -> String {
    let scanned = last.and_then(|page| {
        let is_empty = page.body.is_empty();
        header(&page.head, "scanned-to").filter(|_| !is_empty)
    });
    let after = scanned.unwrap_or("0");
    format!("/events?limit=5000&phi={phi}&after={after}")
}
