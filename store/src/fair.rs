//! A fair share of something scarce: connections that read, room in a queue, places of waiting readers.
//!
//! A [`FairShare`] lends units to parties. While units are free, a party alone gets all of them. When callers wait, the
//! party that holds least is served first, and among equals the one that was served longest ago: turns go round. A
//! reserve beyond the shared units is for parties that hold little, so that whoever has nothing yet need not wait until
//! a party that has everything returns some of it. Waiting is bounded: in count for each party, in time for each
//! caller.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roentgen_domain::ids::TenantId;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use queue::{Admission, Queue, Ticket};

/// The owner of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShareOwner {
    /// A tenant's callers.
    Tenant(TenantId),
    /// The system itself: policies, and operators, who belong to no tenant.
    System,
}

/// How much there is, and who may have it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units for everybody.
    pub shared: usize,
    /// Units beyond those, for parties that hold little.
    pub reserve: usize,
    /// How many units a party may hold, the wanted ones included, to take from the reserve.
    pub little: usize,
    /// How many callers of one party may wait.
    pub waiting: usize,
}

/// The share is used up: too many callers of the party wait already, or the deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the share of {0} is used up")]
pub struct ShareExhausted(&'static str);

/// Lends units to parties. Clones lend the same units.
#[derive(Debug, Clone)]
pub struct FairShare {
    /// The label of its metrics.
    name: &'static str,
    queue: Arc<Mutex<Queue<oneshot::Sender<()>>>>,
}

/// Borrowed units, returned when this is dropped.
#[derive(Debug)]
pub struct Share {
    of: FairShare,
    party: ShareOwner,
    units: usize,
}

impl FairShare {
    /// Nothing is lent yet.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        Self {
            name,
            queue: Arc::new(Mutex::new(Queue::new(limits))),
        }
    }

    /// Borrows units, when it is the party's turn. More units than are shared count as all of them.
    ///
    /// # Errors
    /// [`ShareExhausted`] at once if too many callers of the party wait, and at the deadline.
    pub async fn enter(
        &self,
        party: ShareOwner,
        units: usize,
        deadline: Instant,
    ) -> Result<Share, ShareExhausted> {
        let (granted, turn) = oneshot::channel();
        match self.arrive(party, units, granted) {
            Admission::Granted { units } => Ok(self.lent(party, units)),
            Admission::Refused => Err(self.crowded()),
            Admission::Waits(ticket) => {
                let mut waiting = WaitingCaller {
                    of: self,
                    ticket: Some(ticket),
                };
                match timeout_at(deadline, turn).await {
                    Ok(Ok(())) => waiting.share().ok_or_else(|| self.crowded()),
                    Ok(Err(_)) | Err(_) => Err(self.crowded()),
                }
            }
        }
    }

    /// Borrows units, if it is the party's turn now.
    ///
    /// # Errors
    /// [`ShareExhausted`] if the units are not free, or others are before the party.
    pub fn try_enter(&self, party: ShareOwner, units: usize) -> Result<Share, ShareExhausted> {
        let granted = self.queue().take(party, units);
        granted
            .map(|units| self.lent(party, units))
            .ok_or_else(|| self.crowded())
    }

    /// How many units are lent.
    pub fn lent_units(&self) -> usize {
        self.queue().used()
    }

    fn lent(&self, party: ShareOwner, units: usize) -> Share {
        Share {
            of: self.clone(),
            party,
            units,
        }
    }

    fn crowded(&self) -> ShareExhausted {
        metrics::counter!("roentgen_share_refusals_total", "share" => self.name).increment(1);
        ShareExhausted(self.name)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<oneshot::Sender<()>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self, party: ShareOwner, units: usize, granted: oneshot::Sender<()>) -> Admission {
        let mut queue = self.queue();
        let arrival = queue.arrive(party, units, granted);
        queue.serve(tell);
        arrival
    }

    fn back(&self, party: ShareOwner, units: usize) {
        let mut queue = self.queue();
        queue.leave(party, units);
        queue.serve(tell);
    }
}

/// A caller that is gone returns its units when its [`WaitingCaller`] is dropped.
fn tell(granted: oneshot::Sender<()>) {
    let _ = granted.send(());
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.back(self.party, self.units);
    }
}

/// A caller in the queue. If it is dropped, its place is given up, or its units if they were granted meanwhile.
struct WaitingCaller<'a> {
    of: &'a FairShare,
    ticket: Option<Ticket>,
}

impl WaitingCaller<'_> {
    /// The units that were granted.
    fn share(&mut self) -> Option<Share> {
        let ticket = self.ticket.take()?;
        Some(self.of.lent(ticket.party, ticket.units))
    }
}

impl Drop for WaitingCaller<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let was_granted = !self.of.queue().withdraw(&ticket);
        let units = if was_granted { ticket.units } else { 0 };
        // Also without units: the caller behind this one may be next now.
        self.of.back(ticket.party, units);
    }
}

#[cfg(test)]
mod tests;
