//! Fair sharing of a scarce resource: database readers, room in a queue, places for waiting readers.
//!
//! A [`FairShare`] lends units to owners. While units are free, a single owner can have all of them. When callers wait,
//! the owner that holds the fewest units is served first; among equals, the one that was served least recently. A
//! reserve beyond the shared units is for owners that hold few units, so that an owner without units need not wait for
//! one that holds all of them. Waiting is bounded: by the number of callers of each owner, and by a deadline of each
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
    /// The callers of a tenant.
    Tenant(TenantId),
    /// The system: policies and operators, which belong to no tenant.
    System,
}

/// The units of a resource and the rules for lending them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units available to all owners.
    pub shared: usize,
    /// Additional units, for owners that hold few units.
    pub reserve: usize,
    /// Maximum number of units that an owner may hold, including the requested ones, to use the reserve.
    pub little: usize,
    /// Maximum number of waiting callers per owner.
    pub waiting: usize,
}

/// The share of the owner is used up: too many of its callers wait already, or the deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the share of {0} is used up")]
pub struct ShareExhausted(&'static str);

/// Lends units to owners. Clones lend the same units.
#[derive(Debug, Clone)]
pub struct FairShare {
    /// Label of its metrics.
    name: &'static str,
    queue: Arc<Mutex<Queue<oneshot::Sender<()>>>>,
}

/// Borrowed units, returned on drop.
#[derive(Debug)]
pub struct Share {
    of: FairShare,
    party: ShareOwner,
    units: usize,
}

impl FairShare {
    /// Creates a share with all units free. `name` is the label of its metrics.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        Self {
            name,
            queue: Arc::new(Mutex::new(Queue::new(limits))),
        }
    }

    /// Borrows units when it is the owner's turn. A request for more than the shared units counts as one for all of
    /// them.
    ///
    /// # Errors
    /// [`ShareExhausted`], immediately if too many callers of the owner wait already, otherwise at the deadline.
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

    /// Borrows units if they are available to the owner now.
    ///
    /// # Errors
    /// [`ShareExhausted`] if the units are not free, or if other callers are served first.
    pub fn try_enter(&self, party: ShareOwner, units: usize) -> Result<Share, ShareExhausted> {
        let granted = self.queue().take(party, units);
        granted
            .map(|units| self.lent(party, units))
            .ok_or_else(|| self.crowded())
    }

    /// Returns the number of units lent.
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

/// Ignores a failed send: a cancelled caller returns its units when its [`WaitingCaller`] is dropped.
fn tell(granted: oneshot::Sender<()>) {
    let _ = granted.send(());
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.back(self.party, self.units);
    }
}

/// A caller in the queue. On drop it leaves the queue, or returns its units if they were granted already.
struct WaitingCaller<'a> {
    of: &'a FairShare,
    ticket: Option<Ticket>,
}

impl WaitingCaller<'_> {
    /// Returns the granted units.
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
        // Also without units: the next caller in the queue may be served now.
        self.of.back(ticket.party, units);
    }
}

#[cfg(test)]
mod tests;
