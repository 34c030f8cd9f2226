use proptest::prelude::*;

use super::*;

const KIB: usize = 1024;

/// Returns a cache with room for `entries` entries of 1 KiB.
fn room_for(entries: usize) -> WeightedLru<u8, u32, &'static str> {
    WeightedLru::new(entries * (KIB + ENTRY_BYTES))
}

#[test]
fn value_that_was_not_used_for_longest_goes_first() {
    let mut cache = room_for(2);
    cache.put(1, 1, "first", KIB);
    cache.put(1, 2, "second", KIB);
    assert_eq!(cache.get(1, &1), Some(&"first"));
    cache.put(1, 3, "third", KIB);
    assert_eq!(cache.peek(1, &2), None);
    assert_eq!(cache.peek(1, &1), Some(&"first"));
    assert_eq!(cache.peek(1, &3), Some(&"third"));
}

#[test]
fn one_heavy_value_takes_the_room_of_many() {
    let mut cache = room_for(10);
    for key in 0..10 {
        cache.put(1, key, "light", KIB);
    }
    cache.put(1, 10, "heavy", 9 * KIB);
    let left = (0..10).filter(|key| cache.peek(1, key).is_some()).count();
    assert!(left < 3, "{left} light values beside a heavy one");
    assert_eq!(cache.peek(1, &10), Some(&"heavy"));
}

#[test]
fn value_heavier_than_the_budget_is_not_kept_and_pushes_nothing_out() {
    let mut cache = room_for(2);
    cache.put(1, 1, "light", KIB);
    cache.put(1, 2, "before", KIB);
    cache.put(1, 2, "after", 10 * KIB);
    assert_eq!(cache.peek(1, &1), Some(&"light"));
    assert_eq!(cache.peek(1, &2), None, "the value before is outdated");
}

#[test]
fn owner_that_fills_the_cache_pushes_out_its_own() {
    let mut cache = room_for(10);
    cache.put(1, 0, "small owner", KIB);
    for key in 0..1_000 {
        cache.put(2, key, "flood", KIB);
    }
    assert_eq!(cache.peek(1, &0), Some(&"small owner"));
    assert_eq!(cache.peek(2, &999), Some(&"flood"));
}

#[test]
fn keys_of_two_owners_are_apart() {
    let mut cache = room_for(10);
    cache.put(1, 7, "first", KIB);
    cache.put(2, 7, "second", KIB);
    assert_eq!(cache.get(1, &7), Some(&"first"));
    assert_eq!(cache.pop(2, &7), Some("second"));
    assert_eq!(cache.get(1, &7), Some(&"first"));
    assert_eq!(cache.get(3, &7), None);
}

/// An operation on a cache.
#[derive(Debug, Clone)]
enum Step {
    Put { owner: u8, key: u32, bytes: usize },
    Get { owner: u8, key: u32 },
    Pop { owner: u8, key: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || (0..4_u8, 0..6_u32);
    let put =
        (place(), 0..10 * KIB).prop_map(|((owner, key), bytes)| Step::Put { owner, key, bytes });
    let get = place().prop_map(|(owner, key)| Step::Get { owner, key });
    let pop = place().prop_map(|(owner, key)| Step::Pop { owner, key });
    proptest::collection::vec(prop_oneof![4 => put, 2 => get, 1 => pop], 0..200)
}

/// A reference implementation with linear search: entries in the order of use.
#[derive(Debug, Default)]
struct Naive(Vec<(u8, u32, usize, usize)>);

impl Naive {
    fn take(&mut self, owner: u8, key: u32) -> Option<(u8, u32, usize, usize)> {
        let at = self
            .0
            .iter()
            .position(|pair| (pair.0, pair.1) == (owner, key))?;
        Some(self.0.remove(at))
    }

    fn held_by(&self, owner: u8) -> usize {
        let own = self.0.iter().filter(|pair| pair.0 == owner);
        own.map(|pair| pair.2).sum()
    }

    fn weight(&self) -> usize {
        self.0.iter().map(|pair| pair.2).sum()
    }

    fn put(&mut self, owner: u8, key: u32, weight: usize, value: usize, budget: usize) {
        self.take(owner, key);
        if weight > budget {
            return;
        }
        self.0.push((owner, key, weight, value));
        while self.weight() > budget {
            let heaviest = (0..4).max_by_key(|owner| (self.held_by(*owner), *owner));
            let oldest = self.0.iter().position(|pair| Some(pair.0) == heaviest);
            self.0.remove(oldest.unwrap());
        }
    }
}

proptest! {
    #[test]
    fn cache_is_what_a_plain_search_says(steps in steps()) {
        let budget = 8 * KIB;
        let mut cache = WeightedLru::new(budget);
        let mut naive = Naive::default();
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put { owner, key, bytes } => {
                    cache.put(owner, key, value, bytes);
                    naive.put(owner, key, bytes + ENTRY_BYTES, value, budget);
                }
                Step::Get { owner, key } => {
                    let known = naive.take(owner, key);
                    naive.0.extend(known);
                    prop_assert_eq!(cache.get(owner, &key).copied(), known.map(|pair| pair.3));
                }
                Step::Pop { owner, key } => {
                    let known = naive.take(owner, key);
                    prop_assert_eq!(cache.pop(owner, &key), known.map(|pair| pair.3));
                }
            }
            prop_assert!(cache.weight() <= budget);
            prop_assert_eq!(cache.weight(), naive.weight());
            for (owner, key, _, value) in &naive.0 {
                prop_assert_eq!(cache.peek(*owner, key), Some(value));
            }
        }
    }
}
