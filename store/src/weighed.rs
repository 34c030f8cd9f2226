//! A cache that is bounded by the size of its entries in bytes, and not by their number.
//!
//! Several owners share the cache. When it exceeds its budget, the least recently used entry of the owner with the most
//! bytes is evicted. A single owner can use the whole cache, and an owner that fills it evicts its own entries before
//! those of owners with fewer bytes.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use lru::LruCache;

/// Overhead of an entry in addition to its value, in bytes: key, links, and its part of the tables.
const ENTRY_BYTES: usize = 256;

/// Values of several owners (`P`) by key (`K`).
#[derive(Debug)]
pub struct WeightedLru<P, K: Hash + Eq, V> {
    budget: usize,
    weight: usize,
    shares: HashMap<P, Share<K, V>>,
    /// Owners, ordered by the bytes that they hold.
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
    /// Creates an empty cache with a budget in bytes.
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            weight: 0,
            shares: HashMap::new(),
            by_weight: BTreeSet::new(),
        }
    }

    /// Returns an owner's value and marks it as recently used.
    pub fn get(&mut self, owner: P, key: &K) -> Option<&V> {
        let share = self.shares.get_mut(&owner)?;
        share.entries.get(key).map(|entry| &entry.value)
    }

    /// Returns an owner's value without marking it as recently used.
    pub fn peek(&self, owner: P, key: &K) -> Option<&V> {
        let share = self.shares.get(&owner)?;
        share.entries.peek(key).map(|entry| &entry.value)
    }

    /// Stores a value of `bytes` bytes and replaces the previous one. A value larger than the budget is not stored.
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

    /// Removes and returns a value.
    pub fn pop(&mut self, owner: P, key: &K) -> Option<V> {
        let share = self.shares.get_mut(&owner)?;
        let entry = share.entries.pop(key)?;
        self.weigh(owner, |held| held - entry.weight);
        Some(entry.value)
    }

    /// Returns the size of all entries, in bytes.
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Evicts the least recently used entry of the owner with the most bytes.
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

    /// Updates the bytes of an owner and its rank after a change. An owner without entries is removed.
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
