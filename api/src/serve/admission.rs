//! Limits the number of connections, in total and per address. At the total limit, idle connections make room, first of
//! all those without any request. If all connections are busy, or an address is at its limit, a new connection gets a
//! place in a small reserve, which only serves health checks. The reserve is never full: its oldest connection makes
//! room, idle ones first, so that a probe is answered even if all other places are taken.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// Number of connections in the reserve.
const RESERVE: usize = 64;
/// Maximum number of connections in the reserve, including those that make room and are not closed yet.
const RESERVE_WITH_CLOSING: usize = 2 * RESERVE;
/// Divisor of the total limit: number of idle connections that make room in one pass. Each pass scans all connections,
/// which is too expensive for each new connection.
const PART_THAT_LEAVES: usize = 128;
/// Maximum number of connections beyond the limit that make room and are not closed yet.
const LEAVING: usize = 64;
/// Length in bits of an IPv6 network that is counted as one address: a client with one of its addresses has them all.
const NETWORK_BITS: u32 = 64;

/// Limits of connections.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Maximum in total.
    pub(crate) connections: usize,
    /// Maximum per address, or per IPv6 network of 64 bits.
    pub(crate) per_address: usize,
    /// Networks of proxies, which forward for many clients and have no limit per address.
    pub(crate) trusted: Vec<IpNet>,
}

/// Reason why a connection is in the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// The server is at its limit, and all connections are busy.
    All,
    /// The address is at its limit.
    Address,
}

impl Reserve {
    /// Returns the problem detail for requests of the connection.
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

/// Assigns a place to each connection.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    shared: Arc<Shared>,
    /// One permit per connection that is open or leaving.
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
    /// Connections that were not told to make room, oldest first.
    held: BTreeMap<u64, AdmittedConnection>,
    /// Number of connections that were told to make room and are not closed yet.
    leaving: usize,
    by_address: HashMap<IpAddr, usize>,
    reserve: VecDeque<(u64, AdmittedConnection)>,
    /// Same as `leaving`, for the reserve.
    closing: usize,
    next_id: u64,
}

/// Connection that has a place.
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

    /// Returns the number of open connections.
    pub(super) fn open(&self) -> usize {
        let places = self.shared.places();
        places.held.len() + places.leaving + places.reserve.len() + places.closing
    }

    /// Assigns a place to a connection from this address. Waits at most until connections that were told to make room
    /// are closed.
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

    /// Registers a connection. Returns its id, and the reason if its place is in the reserve.
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

    /// Returns the limit that a further connection from this address would exceed, if any.
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
    /// Tells up to `count` idle connections to make room.
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

    /// Adds a connection to the reserve; if the reserve is full, another connection makes room.
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

/// Returns the address that connections from `peer` are counted under.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

/// Place of a connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    staying: AdmittedConnection,
    reserve: Option<Reserve>,
    held: Held,
}

impl ConnectionPermit {
    /// Returns the activity of the connection.
    pub(super) const fn activity(&self) -> &Activity {
        &self.staying.activity
    }

    /// Returns the reason if the connection is in the reserve.
    pub(super) const fn reserve(&self) -> Option<Reserve> {
        self.reserve
    }

    /// Waits until the connection has to make room for another one.
    pub(super) async fn made_room(&self) {
        self.staying.make_room.cancelled().await;
    }

    /// Lets a connection that has to make room finish a request that arrived at that moment, however long it takes. The
    /// connection counts as staying, so that no new connection waits for its end.
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
    /// Address that the connection is counted under; `None` in the reserve.
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
