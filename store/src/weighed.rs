//! A cache that is bounded by what its entries weigh, in bytes, and not by how many they are.
//!
//! Its owners share the room: when the entries weigh more than the budget, the owner that holds most gives up the entry
//! that it has not used for longest. An owner alone has all the room, and one that fills the cache pushes out its own
//! entries before those of owners that hold less.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use lru::LruCache;

/// What an entry takes beside its value: key, links, and its part of the tables.
const ENTRY_BYTES: usize = 256;

/// Values of several owners (`P`) by key (`K`).
#[derive(Debug)]
pub struct WeightedLru<P, K: Hash + Eq, V> {
    budget: usize,
    weight: usize,
    shares: HashMap<P, Share<K, V>>,
    /// The owners in the order of what they hold.
    by_weight: BTreeSet<(usize, P)>,
}

#[derive(Debug)]
struct Share<K: Hash + Eq, V> {
    weight: usize,
    entries: LruCache<K, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    weight: usize,
    value: V,
}

impl<P: Copy + Ord + Hash, K: Hash + Eq, V> WeightedLru<P, K, V> {
    /// An empty cache for so many bytes.
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            weight: 0,
            shares: HashMap::new(),
            by_weight: BTreeSet::new(),
        }
    }

    /// An owner's value, which counts as used by this.
    pub fn get(&mut self, owner: P, key: &K) -> Option<&V> {
        let share = self.shares.get_mut(&owner)?;
        share.entries.get(key).map(|entry| &entry.value)
    }

    /// An owner's value; it does not count as used.
    pub fn peek(&self, owner: P, key: &K) -> Option<&V> {
        let share = self.shares.get(&owner)?;
        share.entries.peek(key).map(|entry| &entry.value)
    }

    /// Keeps a value of so many bytes in place of the one before, unless it weighs more than there is room for.
    pub fn put(&mut self, owner: P, key: K, value: V, bytes: usize) {
        self.pop(owner, &key);
        let weight = bytes.saturating_add(ENTRY_BYTES);
        if weight > self.budget {
            return;
        }
        let share = self.shares.entry(owner).or_insert_with(|| Share {
            weight: 0,
            entries: LruCache::unbounded(),
        });
        share.entries.put(key, Entry { weight, value });
        self.weigh(owner, |held| held + weight);
        while self.weight > self.budget {
            self.evict();
        }
    }

    /// Takes a value out.
    pub fn pop(&mut self, owner: P, key: &K) -> Option<V> {
        let share = self.shares.get_mut(&owner)?;
        let entry = share.entries.pop(key)?;
        self.weigh(owner, |held| held - entry.weight);
        Some(entry.value)
    }

    /// What all entries weigh, in bytes.
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// The entry that the heaviest owner has not used for longest goes.
    fn evict(&mut self) {
        let Some((_, heaviest)) = self.by_weight.last().copied() else {
            return;
        };
        let share = self.shares.get_mut(&heaviest);
        let oldest = share.and_then(|share| share.entries.pop_lru());
        if let Some((_, entry)) = oldest {
            self.weigh(heaviest, |held| held - entry.weight);
        }
    }

    /// Puts an owner in its place after its entries changed. An owner without entries is forgotten.
    fn weigh(&mut self, owner: P, weight: impl FnOnce(usize) -> usize) {
        let Some(share) = self.shares.get_mut(&owner) else {
            return;
        };
        let before = share.weight;
        share.weight = weight(before);
        self.weight = self.weight - before + share.weight;
        self.by_weight.remove(&(before, owner));
        if share.entries.is_empty() {
            self.shares.remove(&owner);
        } else {
            self.by_weight.insert((share.weight, owner));
        }
    }
}

#[cfg(test)]
mod tests;
