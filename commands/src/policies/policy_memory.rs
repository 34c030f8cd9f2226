//! Policy memory during one batch of events: each value is read once and written once per batch, even if many events
//! use it.

use std::any::Any;
use std::collections::HashMap;

use roentgen_domain::Timestamp;
use roentgen_store::policy_memory::{MemoryEntry, MemoryKey, RejectedEffect};
use roentgen_store::subscription::SubscriptionChanges;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Memory values that a batch uses, with its changes.
#[derive(Debug, Default)]
pub struct PolicyMemory {
    /// Entries as stored before the batch that were not accessed yet.
    unread: HashMap<Uuid, MemoryEntry>,
    /// Current values of the accessed entries.
    known: HashMap<Uuid, Known>,
}

#[derive(Debug, Default)]
struct Known {
    value: Option<Box<dyn Value>>,
    /// Key and due time to store, if the batch changed the value.
    changed: Option<Place>,
}

#[derive(Debug)]
struct Place {
    key: MemoryKey,
    due_at_ms: Option<i64>,
}

/// Value of any type.
trait Value: Any + std::fmt::Debug + Send + Sync {
    fn to_json(&self) -> serde_json::Result<String>;
}

impl<T: StoredMemory> Value for T {
    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// Type that policy memory can store.
pub trait StoredMemory:
    Serialize + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

impl<T> StoredMemory for T where
    T: Serialize + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

impl PolicyMemory {
    /// Creates the memory from the stored entries.
    pub(super) fn from_entries(memories: Vec<MemoryEntry>) -> Self {
        Self {
            unread: memories
                .into_iter()
                .map(|memory| (memory.id, memory))
                .collect(),
            known: HashMap::new(),
        }
    }

    /// Returns the value of a key that `memory_keys` has listed.
    pub fn get<T: StoredMemory>(&mut self, key: &MemoryKey) -> Option<&T> {
        let value = self.read::<T>(key).value.as_deref()?;
        (value as &dyn Any).downcast_ref()
    }

    /// Returns the value of a key for modification; an absent value starts as the default.
    pub fn change<T: StoredMemory + Default>(&mut self, key: &MemoryKey) -> Option<&mut T> {
        let known = self.read::<T>(key);
        known.changed = Some(Place {
            key: key.clone(),
            due_at_ms: None,
        });
        let value = known.value.get_or_insert_with(|| Box::new(T::default()));
        (&mut **value as &mut dyn Any).downcast_mut()
    }

    fn read<T: StoredMemory>(&mut self, key: &MemoryKey) -> &mut Known {
        let id = key.id();
        let unread = self.unread.remove(&id);
        let known = self.known.entry(id).or_default();
        if let Some(memory) = unread {
            known.value = parsed::<T>(&memory);
        }
        known
    }

    /// Stores a value.
    pub fn set<T: StoredMemory>(&mut self, key: &MemoryKey, value: T) {
        self.put(key, Some(Box::new(value)), None);
    }

    /// Stores a value with a timer that is due at `due_at`.
    pub fn schedule<T: StoredMemory>(&mut self, key: &MemoryKey, value: T, due_at: Timestamp) {
        self.put(key, Some(Box::new(value)), Some(due_at.as_millis()));
    }

    /// Deletes the value of a key, if any.
    pub fn remove(&mut self, key: &MemoryKey) {
        self.put(key, None, None);
    }

    fn put(&mut self, key: &MemoryKey, value: Option<Box<dyn Value>>, due_at_ms: Option<i64>) {
        let id = key.id();
        self.unread.remove(&id);
        let changed = Some(Place {
            key: key.clone(),
            due_at_ms,
        });
        self.known.insert(id, Known { value, changed });
    }

    /// Checks whether the batch set a timer.
    pub(super) fn sets_timers(&self) -> bool {
        let mut changed = self
            .known
            .values()
            .filter_map(|known| known.changed.as_ref());
        changed.any(|place| place.due_at_ms.is_some())
    }

    pub(super) fn into_changes(self, refusals: Vec<RejectedEffect>) -> SubscriptionChanges {
        let mut changes = SubscriptionChanges {
            refusals,
            ..SubscriptionChanges::default()
        };
        for (id, Known { value, changed }) in self.known {
            match (changed, value) {
                (Some(Place { key, due_at_ms }), Some(value)) => match value.to_json() {
                    Ok(json) => changes.kept.push(MemoryEntry::new(&key, json, due_at_ms)),
                    Err(error) => malformed(key.topic, &error),
                },
                (Some(_), None) => changes.forgotten.push(id),
                (None, _) => {}
            }
        }
        changes
    }
}

fn parsed<T: StoredMemory>(memory: &MemoryEntry) -> Option<Box<dyn Value>> {
    match serde_json::from_str::<T>(&memory.value) {
        Ok(value) => Some(Box::new(value)),
        Err(error) => {
            malformed(&memory.topic, &error);
            None
        }
    }
}

fn malformed(topic: &str, error: &serde_json::Error) {
    tracing::error!(
        event = "policy.memory_malformed",
        topic,
        %error,
        "policy memory cannot be encoded or decoded",
    );
}
