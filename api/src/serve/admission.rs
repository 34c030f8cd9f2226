//! How many connections there are, in all and from one address, and what becomes of one that comes beyond. If there are
//! as many as the server takes, those make room that are silent, and first of all those that have never asked for
//! anything. Where all of them are busy, and beyond an address's own limit, a connection takes a place of a small
//! reserve, on which nothing is served but health. The reserve is never full: its oldest connection makes room, so that
//! a probe is answered whoever holds everything else.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// How many connections the reserve has.
const RESERVE: usize = 64;
/// How many there may be with those that make room and are not closed yet.
const RESERVE_WITH_CLOSING: usize = 2 * RESERVE;
/// How many silent connections make room at once, as a part of all: whom to choose is looked for among all of them,
/// which is too much for each newcomer.
const PART_THAT_LEAVES: usize = 128;
/// How many there may be beyond the limit that make room and are not closed yet.
const LEAVING: usize = 64;
/// An IPv6 address has its host's network in its first bits: who has one address there has all of them.
const NETWORK_BITS: u32 = 64;

/// How many connections there may be.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) connections: usize,
    /// From one address, or from one IPv6 network of 64 bits.
    pub(crate) per_address: usize,
    /// The networks of proxies, which speak for many clients and are not limited by address.
    pub(crate) trusted: Vec<IpNet>,
}

/// Why a connection is on the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// There are as many connections as the server takes, and all of them are busy.
    All,
    /// There are as many from this address as it may have.
    Address,
}

impl Reserve {
    /// What its requests are told.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::All => "the server has as many connections as it takes; try again later",
            Self::Address => {
                "there are too many connections from this address; use fewer, or ask the operator \
                 whether it is a proxy's (--trusted-proxy)"
            }
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// Gives each connection its place.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    shared: Arc<Shared>,
    /// A permit for each connection that is open or leaving.
    full: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    places: Mutex<ConnectionTable>,
}

#[derive(Debug, Default)]
struct ConnectionTable {
    /// Those that stay, the oldest first.
    held: BTreeMap<u64, AdmittedConnection>,
    /// How many were told to make room and are not closed yet.
    leaving: usize,
    by_address: HashMap<IpAddr, usize>,
    reserve: VecDeque<(u64, AdmittedConnection)>,
    /// The same as `leaving`, of the reserve.
    closing: usize,
    next_id: u64,
}

/// A connection that has a place.
#[derive(Debug, Clone)]
struct AdmittedConnection {
    activity: Activity,
    make_room: CancellationToken,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        let full = limits.connections.saturating_add(LEAVING);
        let shared = Shared {
            limits,
            places: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            full: Arc::new(Semaphore::new(full)),
            reserve: Arc::new(Semaphore::new(RESERVE_WITH_CLOSING)),
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        let places = self.shared.places();
        places.held.len() + places.leaving + places.reserve.len() + places.closing
    }

    /// A place for a connection from this address. Waits at most until connections are closed that were told to make
    /// room.
    pub(super) async fn admit(&self, peer: IpAddr) -> ConnectionPermit {
        let staying = AdmittedConnection {
            activity: Activity::begin(),
            make_room: CancellationToken::new(),
        };
        let key = network(peer);
        let (id, reserve) = self.shared.take(peer, &staying);
        let (address, permits) = match reserve {
            None => (Some(key), &self.full),
            Some(reserve) => {
                let limit = reserve.label();
                metrics::counter!("roentgen_connections_refused_total", "limit" => limit)
                    .increment(1);
                (None, &self.reserve)
            }
        };
        let mut held = Held {
            shared: Arc::clone(&self.shared),
            id,
            address,
            permit: None,
        };
        held.permit = Arc::clone(permits).acquire_owned().await.ok();
        ConnectionPermit {
            staying,
            reserve,
            held,
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, ConnectionTable> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection a place and an id: of all places, or why it is one of the reserve.
    fn take(&self, peer: IpAddr, staying: &AdmittedConnection) -> (u64, Option<Reserve>) {
        let mut places = self.places();
        let id = places.next_id;
        places.next_id += 1;
        let reserve = self.beyond(&mut places, peer);
        match reserve {
            None => {
                places.held.insert(id, staying.clone());
                *places.by_address.entry(network(peer)).or_default() += 1;
            }
            Some(_) => places.reserve(id, staying.clone()),
        }
        (id, reserve)
    }

    /// Which limit a connection from this address is beyond, if any.
    fn beyond(&self, places: &mut ConnectionTable, peer: IpAddr) -> Option<Reserve> {
        let Limits {
            connections,
            per_address,
            trusted,
        } = &self.limits;
        let of_address = places.by_address.get(&network(peer)).copied().unwrap_or(0);
        let peer = peer.to_canonical();
        let is_trusted = trusted.iter().any(|network| network.contains(&peer));
        if of_address >= *per_address && !is_trusted {
            return Some(Reserve::Address);
        }
        if places.held.len() >= *connections {
            places.silent_make_room((*connections / PART_THAT_LEAVES).max(1));
        }
        (places.held.len() >= *connections).then_some(Reserve::All)
    }
}

impl ConnectionTable {
    /// Tells up to so many silent connections to make room.
    fn silent_make_room(&mut self, count: usize) {
        let silent = self.held.iter();
        let silent = silent.filter_map(|(id, held)| Some((held.activity.silence()?, *id)));
        let mut silent: Vec<_> = silent.collect();
        if silent.len() > count {
            silent.select_nth_unstable(count);
            silent.truncate(count);
        }
        for (_, id) in silent {
            if let Some(leaves) = self.held.remove(&id) {
                leaves.make_room.cancel();
                self.leaving += 1;
            }
        }
    }

    /// A place of the reserve, for which another connection makes room if there is none.
    fn reserve(&mut self, id: u64, staying: AdmittedConnection) {
        if self.reserve.len() >= RESERVE {
            let mut reserve = self.reserve.iter();
            let idle = reserve.position(|(_, held)| !held.activity.is_busy());
            if let Some((_, leaves)) = self.reserve.remove(idle.unwrap_or(0)) {
                leaves.make_room.cancel();
                self.closing += 1;
            }
        }
        self.reserve.push_back((id, staying));
    }
}

/// What connections from this address are counted under.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    staying: AdmittedConnection,
    reserve: Option<Reserve>,
    held: Held,
}

impl ConnectionPermit {
    /// What the connection does.
    pub(super) const fn activity(&self) -> &Activity {
        &self.staying.activity
    }

    /// Why it is on the reserve, if it is.
    pub(super) const fn reserve(&self) -> Option<Reserve> {
        self.reserve
    }

    /// Waits until the connection has to make room for another one.
    pub(super) async fn made_room(&self) {
        self.staying.make_room.cancelled().await;
    }

    /// A connection that has to make room finishes a request that arrived at that moment, for as long as that takes: it
    /// counts as one that stays, so that nobody waits for its end.
    pub(super) fn finishes(&self) {
        let Held { shared, id, .. } = &self.held;
        let mut places = shared.places();
        places.held.insert(*id, self.staying.clone());
        places.leaving = places.leaving.saturating_sub(1);
    }
}

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    id: u64,
    /// What it is counted under; `None` on the reserve.
    address: Option<IpAddr>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut places = self.shared.places();
        match self.address {
            Some(address) => places.leave(self.id, address),
            None => places.leave_reserve(self.id),
        }
        drop(places);
        drop(self.permit.take());
    }
}

impl ConnectionTable {
    fn leave(&mut self, id: u64, address: IpAddr) {
        if self.held.remove(&id).is_none() {
            self.leaving = self.leaving.saturating_sub(1);
        }
        let left = self.by_address.get(&address).copied().unwrap_or(0);
        if left > 1 {
            self.by_address.insert(address, left - 1);
        } else {
            self.by_address.remove(&address);
        }
    }

    fn leave_reserve(&mut self, id: u64) {
        match self.reserve.iter().position(|(held, _)| *held == id) {
            Some(at) => drop(self.reserve.remove(at)),
            None => self.closing = self.closing.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, per_address: usize, trusted: &[&str]) -> Admission {
        Admission::new(Limits {
            connections,
            per_address,
            trusted: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        })
    }

    async fn admit(admission: &Admission, peer: &str) -> ConnectionPermit {
        admission.admit(peer.parse().unwrap()).await
    }

    #[tokio::test]
    async fn an_address_has_so_many_places_and_its_network_has_one_count() {
        let limits = admission(100, 2, &[]);
        for (one, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ] {
            let held = [admit(&limits, one).await, admit(&limits, other).await];
            assert_eq!(admit(&limits, one).await.reserve(), Some(Reserve::Address));
            assert_eq!(held.map(|place| place.reserve()), [None, None]);
            assert_eq!(admit(&limits, one).await.reserve(), None, "free again");
        }
        assert_eq!(limits.open(), 0);
        assert!(limits.shared.places().by_address.is_empty());
    }

    #[tokio::test]
    async fn a_trusted_proxy_is_limited_by_the_limit_of_all_only() {
        let proxies = [
            "192.0.2.0/24",
            "2001:db8::/32",
            "::1/128",
            "2001:db9::5/128",
        ];
        let limits = admission(8, 1, &proxies);
        let mut held = Vec::new();
        for peer in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "::1"] {
            for _ in 0..2 {
                held.push(admit(&limits, peer).await);
                assert_eq!(held.last().unwrap().reserve(), None, "{peer}");
            }
        }
        let _requests: Vec<_> = held
            .iter()
            .map(|place| place.activity().request())
            .collect();
        let beyond = admit(&limits, "192.0.2.1").await;
        assert_eq!(beyond.reserve(), Some(Reserve::All));
    }

    #[tokio::test]
    async fn who_never_asked_makes_room_first_then_who_is_silent_for_longest_and_never_who_is_busy()
    {
        tokio::time::pause();
        let limits = admission(4, 100, &[]);
        let [busy, asked, asked_later, silent] = [1, 2, 3, 4].map(|last| format!("192.0.2.{last}"));
        let busy = admit(&limits, &busy).await;
        let asked = admit(&limits, &asked).await;
        let asked_later = admit(&limits, &asked_later).await;
        let silent = admit(&limits, &silent).await;
        let _request = busy.activity().request();
        for place in [&asked, &asked_later] {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            drop(place.activity().request());
        }
        let has_left = |place: &ConnectionPermit| place.staying.make_room.is_cancelled();
        let left = || [&busy, &asked, &asked_later, &silent].map(has_left);
        let mut newcomers = Vec::new();
        for expected in [
            [false, false, false, true],
            [false, true, false, true],
            [false, true, true, true],
        ] {
            let newcomer = admit(&limits, "192.0.2.9").await;
            assert_eq!(newcomer.reserve(), None);
            assert_eq!(left(), expected);
            newcomers.push((newcomer.activity().request(), newcomer));
        }
        let beyond = admit(&limits, "192.0.2.9").await;
        assert_eq!(beyond.reserve(), Some(Reserve::All), "all are busy");
        assert!(!has_left(&busy), "it is served");
        drop((newcomers, beyond, busy, asked, asked_later, silent));
        assert_eq!(limits.open(), 0);
    }

    #[tokio::test]
    async fn connections_that_leave_are_closed_before_many_more_are_let_in() {
        let limits = admission(1, 1000, &[]);
        let mut open: VecDeque<_> = VecDeque::new();
        for _ in 0..=LEAVING {
            open.push_back(admit(&limits, "192.0.2.1").await);
        }
        let beyond = admit(&limits, "192.0.2.1");
        let beyond = tokio::time::timeout(std::time::Duration::ZERO, beyond).await;
        assert!(beyond.is_err(), "one too many is open");
        open.pop_front();
        admit(&limits, "192.0.2.1").await;
    }

    #[tokio::test]
    async fn nobody_waits_for_a_connection_that_was_asked_for_something_while_it_made_room() {
        let limits = admission(1, 1000, &[]);
        let mut silent = admit(&limits, "192.0.2.1").await;
        let mut finishing = Vec::new();
        for _ in 0..=LEAVING {
            let place = admit(&limits, "192.0.2.1");
            let place = tokio::time::timeout(std::time::Duration::ZERO, place);
            let place = place.await.expect("it has a place at once");
            let request = silent.activity().request();
            if silent.staying.make_room.is_cancelled() {
                silent.finishes();
            }
            finishing.push((silent, request));
            silent = place;
        }
        assert_eq!(silent.reserve(), Some(Reserve::All));
        drop((finishing, silent));
        assert_eq!(limits.open(), 0);
    }

    #[tokio::test]
    async fn the_reserve_is_never_full_and_keeps_who_is_busy() {
        let limits = admission(0, 1, &[]);
        let busy = admit(&limits, "192.0.2.1").await;
        let _request = busy.activity().request();
        let mut held = VecDeque::new();
        for _ in 0..1000 {
            let place = admit(&limits, "192.0.2.1").await;
            assert_eq!(place.reserve(), Some(Reserve::All));
            let make_room = &place.staying.make_room;
            assert!(!make_room.is_cancelled(), "the newest stays");
            held.push_back(place);
            if held.len() == RESERVE {
                let oldest = held.pop_front().unwrap();
                oldest.made_room().await;
            }
        }
        let make_room = &busy.staying.make_room;
        assert!(!make_room.is_cancelled(), "it is served");
        drop((held, busy));
        assert_eq!(limits.open(), 0);
    }
}
