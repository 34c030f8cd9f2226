//! Measurements of the working tenant.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::{WARD, Work};
use crate::http_client::header;
use crate::report::latencies;

/// Latencies in microseconds, and errors.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) commands: Histogram<u64>,
    pub(crate) lists: Histogram<u64>,
    /// Time from a study until its case is on the worklist.
    pub(crate) followed: Histogram<u64>,
    /// Requests that were rejected or not answered, and responses with wrong content.
    pub(crate) wrong: Vec<String>,
    /// Expected final state of the orders, by id.
    orders: BTreeMap<String, Value>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            commands: latencies(),
            lists: latencies(),
            followed: latencies(),
            wrong: Vec::new(),
            orders: BTreeMap::new(),
        }
    }
}

/// Kind of measurement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Command,
    List,
    Followed,
}

impl Figures {
    pub(super) fn took(&mut self, which: Which, took: Duration) {
        let figure = match which {
            Which::Command => &mut self.commands,
            Which::List => &mut self.lists,
            Which::Followed => &mut self.followed,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Err(error) = figure.record(micros) {
            self.wrong.push(error.to_string());
        }
    }

    pub(super) fn left(&mut self, order: &Value) {
        if let Some(id) = order.get("id").and_then(Value::as_str) {
            self.orders.insert(id.to_owned(), order.clone());
        }
    }

    /// Reads the list of orders from its first page to its last and checks that each written order is in it once, in
    /// its final state.
    pub(crate) async fn check_whole_lists(&mut self, work: &Work) {
        if let Err(error) = self.whole_lists(work).await {
            self.wrong.push(format!("the list was not read: {error:#}"));
        }
    }

    async fn whole_lists(&mut self, work: &Work) -> anyhow::Result<()> {
        let mut ward = work.open(&work.token(&WARD, None)?).await?;
        let mut next = Some("/imaging/orders?limit=500".to_owned());
        let mut seen = BTreeMap::new();
        while let Some(path) = next {
            let page = ward.get(&path).await?;
            ensure!(page.status == 200, "GET {path}: {}", page.status);
            let rows: Vec<Value> = serde_json::from_slice(&page.body)?;
            for row in rows {
                let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
                if seen.insert(id.to_owned(), row.clone()).is_some() {
                    self.wrong.push(format!("order {id} is listed twice"));
                }
            }
            next = header(&page.head, "link").and_then(target);
        }
        for (id, order) in &self.orders {
            if seen.get(id) != Some(order) {
                self.wrong
                    .push(format!("order {id} is not listed as it was left"));
            }
        }
        Ok(())
    }
}

/// Returns the target of a `Link: <...>; rel="next"`.
pub(crate) fn target(link: &str) -> Option<String> {
    let (target, _) = link.strip_prefix('<')?.split_once('>')?;
    Some(target.to_owned())
}
