//! The queue of a [`FairShare`](super::FairShare): plain data without locks or time, which decides who is served next.

use std::collections::{HashMap, VecDeque};

use super::{Limits, ShareOwner};

/// Lent units and waiting callers. `G` notifies a caller that its units were granted.
#[derive(Debug)]
pub(super) struct Queue<G> {
    limits: Limits,
    used: usize,
    /// Logical clock, counts arrivals and grants; lower values are served first.
    clock: u64,
    waiting: usize,
    parties: HashMap<ShareOwner, OwnerQueue<G>>,
}

#[derive(Debug)]
struct OwnerQueue<G> {
    held: usize,
    /// Clock value when the owner was last served, or when it arrived.
    served: u64,
    callers: VecDeque<Caller<G>>,
}

#[derive(Debug)]
struct Caller<G> {
    id: u64,
    units: usize,
    granted: G,
}

/// Identifies a caller in the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) party: ShareOwner,
    pub(super) units: usize,
    id: u64,
}

/// The result of a caller's arrival.
#[derive(Debug)]
pub(super) enum Admission {
    Granted { units: usize },
    Waits(Ticket),
    Refused,
}

impl<G> Queue<G> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            used: 0,
            clock: 0,
            waiting: 0,
            parties: HashMap::new(),
        }
    }

    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Grants the units if they are free, otherwise queues the caller. Must be followed by [`Self::serve`], because the
    /// caller may be the first.
    pub(super) fn arrive(&mut self, party: ShareOwner, units: usize, granted: G) -> Admission {
        if let Some(units) = self.take(party, units) {
            return Admission::Granted { units };
        }
        let units = self.bounded(units);
        let id = self.tick();
        let limit = self.limits.waiting;
        let account = self.account(party);
        if account.callers.len() >= limit {
            return Admission::Refused;
        }
        account.callers.push_back(Caller { id, units, granted });
        self.waiting += 1;
        Admission::Waits(Ticket { party, units, id })
    }

    /// Grants the units if they are free and no other caller is served first.
    pub(super) fn take(&mut self, party: ShareOwner, units: usize) -> Option<usize> {
        let units = self.bounded(units);
        let account = self.parties.get(&party);
        let (held, own) = account.map_or((0, 0), |known| (known.held, known.callers.len()));
        let others_wait = self.waiting > own;
        let is_free = self.fits_shared(units) && !others_wait;
        let is_reserved = self.fits_reserve(held, units);
        if own > 0 || !(is_free || is_reserved) {
            self.forget_idle(party);
            return None;
        }
        self.grant(party, units);
        Some(units)
    }

    /// Returns units.
    pub(super) fn leave(&mut self, party: ShareOwner, units: usize) {
        self.used = self.used.saturating_sub(units);
        if let Some(account) = self.parties.get_mut(&party) {
            account.held = account.held.saturating_sub(units);
        }
        self.forget_idle(party);
    }

    /// Removes a caller from the queue. Returns `false` if its units were granted already.
    pub(super) fn withdraw(&mut self, ticket: &Ticket) -> bool {
        let Some(account) = self.parties.get_mut(&ticket.party) else {
            return false;
        };
        let place = account
            .callers
            .iter()
            .position(|caller| caller.id == ticket.id);
        let found = place.and_then(|place| account.callers.remove(place));
        if found.is_some() {
            self.waiting -= 1;
        }
        self.forget_idle(ticket.party);
        found.is_some()
    }

    /// Grants units as long as those of the next caller are free.
    pub(super) fn serve(&mut self, mut tell: impl FnMut(G)) {
        while let Some(party) = self.next() {
            let Some(account) = self.parties.get_mut(&party) else {
                return;
            };
            let Some(caller) = account.callers.pop_front() else {
                return;
            };
            self.waiting -= 1;
            self.grant(party, caller.units);
            tell(caller.granted);
        }
    }

    /// Returns the owner to be served next. If the units of the first owner are not free, only the reserve is used:
    /// smaller requests must not overtake a large one indefinitely.
    fn next(&self) -> Option<ShareOwner> {
        if self.waiting == 0 {
            return None;
        }
        let mut first = None;
        let mut reserved = None;
        for (party, account) in &self.parties {
            let Some(caller) = account.callers.front() else {
                continue;
            };
            let rank = (account.held, account.served);
            if first.is_none_or(|(best, _, _)| rank < best) {
                first = Some((rank, *party, caller.units));
            }
            let may = self.fits_reserve(account.held, caller.units);
            if may && reserved.is_none_or(|(best, _)| rank < best) {
                reserved = Some((rank, *party));
            }
        }
        let (_, party, units) = first?;
        if self.fits_shared(units) {
            return Some(party);
        }
        reserved.map(|(_, party)| party)
    }

    fn grant(&mut self, party: ShareOwner, units: usize) {
        let served = self.tick();
        self.used += units;
        let account = self.account(party);
        account.held += units;
        account.served = served;
    }

    fn account(&mut self, party: ShareOwner) -> &mut OwnerQueue<G> {
        let served = self.clock;
        self.parties.entry(party).or_insert_with(|| OwnerQueue {
            held: 0,
            served,
            callers: VecDeque::new(),
        })
    }

    fn forget_idle(&mut self, party: ShareOwner) {
        let account = self.parties.get(&party);
        if account.is_some_and(|known| known.held == 0 && known.callers.is_empty()) {
            self.parties.remove(&party);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn bounded(&self, units: usize) -> usize {
        units.min(self.limits.shared)
    }

    fn fits_shared(&self, units: usize) -> bool {
        self.used + units <= self.limits.shared
    }

    fn fits_reserve(&self, held: usize, units: usize) -> bool {
        held + units <= self.limits.little
            && self.used + units <= self.limits.shared + self.limits.reserve
    }
}
