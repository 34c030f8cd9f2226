//! How many connections there are, in all and from one address, and what becomes of one that comes beyond: it takes a
//! place of a small reserve, on which nothing is served but health. The reserve is never full: its oldest connection makes
//! room, so that a probe is answered whoever holds everything else.

use std::collections::{HashMap, VecDeque};
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
    /// There are as many connections as the server takes.
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
    reserve: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    held: usize,
    by_address: HashMap<IpAddr, usize>,
    reserve: VecDeque<Reserved>,
    closing: usize,
    next_id: u64,
}

#[derive(Debug)]
struct Reserved {
    id: u64,
    activity: Activity,
    make_room: CancellationToken,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        let shared = Shared {
            limits,
            places: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            reserve: Arc::new(Semaphore::new(RESERVE_WITH_CLOSING)),
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        let places = self.shared.places();
        places.held + places.reserve.len() + places.closing
    }

    /// A place for a connection from this address. Waits at most until connections are closed that were told to make room.
    pub(super) async fn admit(&self, peer: IpAddr) -> Place {
        let activity = Activity::begin();
        let key = network(peer);
        let reserve = match self.shared.take(key) {
            Ok(()) => {
                let held = Held {
                    shared: Arc::clone(&self.shared),
                    key,
                };
                let kind = Kind::Full { _held: held };
                return Place { activity, kind };
            }
            Err(reserve) => reserve,
        };
        metrics::counter!("roentgen_connections_refused_total", "limit" => reserve.label())
            .increment(1);
        let (id, make_room) = self.shared.reserve(activity.clone());
        let mut held = HeldReserve {
            shared: Arc::clone(&self.shared),
            id,
            permit: None,
        };
        held.permit = Arc::clone(&self.reserve).acquire_owned().await.ok();
        let kind = Kind::Reserve {
            why: reserve,
            make_room,
            _held: held,
        };
        Place { activity, kind }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection, or says why there is no place for it.
    fn take(&self, key: IpAddr) -> Result<(), Reserve> {
        let Limits {
            connections,
            per_address,
            trusted,
        } = &self.limits;
        let mut places = self.places();
        if places.held >= *connections {
            return Err(Reserve::All);
        }
        let of_address = places.by_address.get(&key).copied().unwrap_or(0);
        let is_trusted = trusted.iter().any(|network| network.contains(&key));
        if of_address >= *per_address && !is_trusted {
            return Err(Reserve::Address);
        }
        places.held += 1;
        *places.by_address.entry(key).or_default() += 1;
        Ok(())
    }

    /// A place of the reserve, for which another connection makes room if there is none.
    fn reserve(&self, activity: Activity) -> (u64, CancellationToken) {
        let mut places = self.places();
        if places.reserve.len() >= RESERVE {
            let idle = places
                .reserve
                .iter()
                .position(|held| !held.activity.is_busy());
            if let Some(leaves) = places.reserve.remove(idle.unwrap_or(0)) {
                leaves.make_room.cancel();
                places.closing += 1;
            }
        }
        let (id, make_room) = (places.next_id, CancellationToken::new());
        places.next_id += 1;
        places.reserve.push_back(Reserved {
            id,
            activity,
            make_room: make_room.clone(),
        });
        (id, make_room)
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
pub(super) struct Place {
    activity: Activity,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Full {
        _held: Held,
    },
    Reserve {
        why: Reserve,
        make_room: CancellationToken,
        _held: HeldReserve,
    },
}

impl Place {
    /// What the connection does.
    pub(super) const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Why it is on the reserve, if it is.
    pub(super) const fn reserve(&self) -> Option<Reserve> {
        match &self.kind {
            Kind::Full { .. } => None,
            Kind::Reserve { why, .. } => Some(*why),
        }
    }

    /// Waits until the connection has to make room for another one.
    pub(super) async fn made_room(&self) {
        match &self.kind {
            Kind::Full { .. } => std::future::pending().await,
            Kind::Reserve { make_room, .. } => make_room.cancelled().await,
        }
    }
}

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    key: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut places = self.shared.places();
        places.held = places.held.saturating_sub(1);
        let left = places.by_address.get(&self.key).copied().unwrap_or(0);
        if left > 1 {
            places.by_address.insert(self.key, left - 1);
        } else {
            places.by_address.remove(&self.key);
        }
    }
}

#[derive(Debug)]
struct HeldReserve {
    shared: Arc<Shared>,
    id: u64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for HeldReserve {
    fn drop(&mut self) {
        let mut places = self.shared.places();
        let listed = places.reserve.iter().position(|held| held.id == self.id);
        match listed {
            Some(at) => drop(places.reserve.remove(at)),
            None => places.closing = places.closing.saturating_sub(1),
        }
        drop(places);
        drop(self.permit.take());
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

    async fn admit(admission: &Admission, peer: &str) -> Place {
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
        let limits = admission(3, 1, &["192.0.2.0/24", "2001:db8::/32"]);
        let _held = [
            admit(&limits, "192.0.2.1").await,
            admit(&limits, "192.0.2.1").await,
            admit(&limits, "2001:db8::1").await,
        ];
        let beyond = admit(&limits, "192.0.2.1").await;
        assert_eq!(beyond.reserve(), Some(Reserve::All));
    }

    #[tokio::test]
    async fn the_reserve_is_never_full_and_keeps_who_is_busy() {
        let limits = admission(0, 1, &[]);
        let busy = admit(&limits, "192.0.2.1").await;
        let _request = busy.activity().request();
        let mut held = VecDeque::new();
        for _ in 0..1000 {
            let place = admit(&limits, "192.0.2.1").await;
            let Kind::Reserve { make_room, .. } = &place.kind else {
                panic!("it is on the reserve");
            };
            assert!(!make_room.is_cancelled(), "the newest stays");
            held.push_back(place);
            if held.len() == RESERVE {
                let oldest = held.pop_front().unwrap();
                oldest.made_room().await;
            }
        }
        let Kind::Reserve { make_room, .. } = &busy.kind else {
            panic!("it is on the reserve");
        };
        assert!(!make_room.is_cancelled(), "it is served");
        drop((held, busy));
        assert_eq!(limits.open(), 0);
    }
}
