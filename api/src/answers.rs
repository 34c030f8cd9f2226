//! Process-wide memory budget for responses in flight: rendered, but not yet sent to the client. A slow client occupies
//! memory until the connection times out, so the budget is shared fairly between tenants.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use roentgen_domain::ids::TenantId;

use crate::problem::{Problem, ProblemCode};

/// Budget for all responses in flight, in bytes.
const BUDGET: usize = 256 * 1024 * 1024;
/// Responses up to this size, in bytes, are rejected only if they exceed the free budget.
const SMALL: usize = 16 * 1024;

/// Response budget. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseBudget(Arc<Mutex<BudgetState>>);

/// Extension of a response to GET: the request had an effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EffectHappened;

#[derive(Debug, Default)]
struct BudgetState {
    taken: usize,
    by_tenant: HashMap<Option<TenantId>, usize>,
}

impl ResponseBudget {
    /// Takes `bytes` from the budget if they fit. A tenant may hold at most as much as it leaves free for all others: a
    /// single tenant gets half, and each further tenant half of the remainder.
    pub(crate) fn take(&self, tenant: Option<TenantId>, bytes: usize) -> Option<Share> {
        let mut ledger = self.ledger();
        if !ledger.fits(tenant, bytes) {
            return None;
        }
        ledger.taken += bytes;
        *ledger.by_tenant.entry(tenant).or_default() += bytes;
        Some(Share {
            answers: self.clone(),
            tenant,
            bytes,
        })
    }

    /// Returns whether `bytes` would fit now.
    pub(crate) fn fit(&self, tenant: Option<TenantId>, bytes: usize) -> bool {
        self.ledger().fits(tenant, bytes)
    }

    /// Counts a response against the budget until it is sent. A read whose response does not fit gets a problem
    /// instead; a response that reports an effect is never rejected.
    pub(crate) fn admit(
        &self,
        tenant: Option<TenantId>,
        is_read: bool,
        answer: Response,
    ) -> Result<Response, Problem> {
        let Some(bytes) = exact_size(&answer) else {
            return Ok(answer);
        };
        let has_happened = !is_read || answer.extensions().get::<EffectHappened>().is_some();
        match self.take(tenant, bytes) {
            Some(share) => Ok(counted(answer, share)),
            None if has_happened => Ok(answer),
            None => {
                metrics::counter!("roentgen_answers_refused_total").increment(1);
                let detail = "too many answers wait for their clients to take them";
                Err(Problem::new(ProblemCode::Unavailable, detail))
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, BudgetState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetState {
    fn fits(&self, tenant: Option<TenantId>, bytes: usize) -> bool {
        let free = BUDGET.saturating_sub(self.taken);
        let own = self.by_tenant.get(&tenant).copied().unwrap_or(0);
        bytes <= free && (bytes <= SMALL || own.saturating_add(bytes) <= free)
    }
}

/// Part of the budget, released on drop.
#[derive(Debug)]
pub(crate) struct Share {
    answers: ResponseBudget,
    tenant: Option<TenantId>,
    bytes: usize,
}

impl Share {
    /// Returns bytes that hold the whole share until all their copies are dropped.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(BudgetedBody {
            bytes,
            _share: self,
        })
    }

    /// Splits off part of the share, at most all of it.
    fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            answers: self.answers.clone(),
            tenant: self.tenant,
            bytes,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut ledger = self.answers.ledger();
        ledger.taken = ledger.taken.saturating_sub(self.bytes);
        let own = ledger.by_tenant.get(&self.tenant).copied().unwrap_or(0);
        if own > self.bytes {
            ledger.by_tenant.insert(self.tenant, own - self.bytes);
        } else {
            ledger.by_tenant.remove(&self.tenant);
        }
    }
}

#[derive(Debug)]
struct BudgetedBody {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for BudgetedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn exact_size(answer: &Response) -> Option<usize> {
    let exact = answer.body().size_hint().exact()?;
    usize::try_from(exact).ok().filter(|bytes| *bytes > 0)
}

fn counted(answer: Response, share: Share) -> Response {
    answer.map(|body| Body::new(CountedBody { body, share }))
}

/// Body whose frames hold their part of the share until they are sent, wherever they are buffered.
#[derive(Debug)]
struct CountedBody {
    body: Body,
    share: Share,
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        let hold = |bytes: Bytes| this.share.split(bytes.len()).hold(bytes);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> Option<TenantId> {
        Some(uuid::Uuid::from_u128(number).into())
    }

    const MIB: usize = 1024 * 1024;

    #[test]
    fn a_tenant_that_takes_all_it_gets_leaves_room_to_the_others() {
        let answers = ResponseBudget::default();
        let mut held = Vec::new();
        let mut parts = Vec::new();
        for number in 1..=4 {
            let before = held.len();
            held.extend(std::iter::from_fn(|| answers.take(tenant(number), MIB)));
            parts.push(held.len() - before);
        }
        assert_eq!(parts, [128, 64, 32, 16]);
        assert!(answers.take(tenant(1), SMALL).is_some(), "it is small");
        drop(held);
        assert!(answers.ledger().by_tenant.is_empty());
        assert_eq!(answers.ledger().taken, 0);
    }

    #[test]
    fn nothing_is_taken_beyond_the_budget() {
        let answers = ResponseBudget::default();
        let held: Vec<_> = std::iter::from_fn(|| answers.take(tenant(1), SMALL)).collect();
        assert_eq!(held.len() * SMALL, BUDGET);
        let answer = || Response::new(Body::from("it"));
        let refused = answers.admit(tenant(2), true, answer());
        assert_eq!(refused.unwrap_err().code(), ProblemCode::Unavailable);
        assert!(answers.admit(tenant(2), false, answer()).is_ok());
        let mut launched = answer();
        launched.extensions_mut().insert(EffectHappened);
        assert!(answers.admit(tenant(2), true, launched).is_ok());
    }

    #[tokio::test]
    async fn an_answer_is_counted_until_its_last_byte_is_gone() {
        let answers = ResponseBudget::default();
        let body = Body::from(vec![0; MIB]);
        let answer = answers.admit(tenant(1), true, Response::new(body)).unwrap();
        assert_eq!(exact_size(&answer), Some(MIB));
        let mut sent = axum::body::to_bytes(answer.into_body(), MIB).await.unwrap();
        let first = sent.split_to(10);
        drop(sent);
        assert_eq!(answers.ledger().taken, MIB, "a part is still there");
        drop(first);
        assert_eq!(answers.ledger().taken, 0);
    }
}
