//! What policies remember, in memory for one batch of events: each value is read once and written once a batch, however
//! many of its events are about it.

use std::any::Any;
use std::collections::HashMap;

use roentgen_domain::Timestamp;
use roentgen_store::policy_memory::{MemoryEntry, MemoryKey, RejectedEffect};
use roentgen_store::subscription::SubscriptionChanges;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The values that a batch asked for, and what became of them so far.
#[derive(Debug, Default)]
pub struct PolicyMemory {
    /// As they were before the batch, and not looked at yet.
    unread: HashMap<Uuid, MemoryEntry>,
    /// As they are now.
    known: HashMap<Uuid, Known>,
}

#[derive(Debug, Default)]
struct Known {
    value: Option<Box<dyn Value>>,
    /// Where it goes, if the batch changed it.
    changed: Option<Place>,
}

#[derive(Debug)]
struct Place {
    key: MemoryKey,
    due_at_ms: Option<i64>,
}

/// A value of some type.
trait Value: Any + std::fmt::Debug + Send + Sync {
    fn to_json(&self) -> serde_json::Result<String>;
}

impl<T: StoredMemory> Value for T {
    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// What can be remembered.
pub trait StoredMemory:
    Serialize + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

impl<T> StoredMemory for T where
    T: Serialize + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

impl PolicyMemory {
    /// What was there before the batch.
    pub(super) fn from_entries(memories: Vec<MemoryEntry>) -> Self {
        Self {
            unread: memories
                .into_iter()
                .map(|memory| (memory.id, memory))
                .collect(),
            known: HashMap::new(),
        }
    }

    /// The value under a key that the policy said it recalls.
    pub fn get<T: StoredMemory>(&mut self, key: &MemoryKey) -> Option<&T> {
        let value = self.read::<T>(key).value.as_deref()?;
        (value as &dyn Any).downcast_ref()
    }

    /// The same, to be changed; what was not there is empty.
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

    /// Remembers a value, or changes it.
    pub fn set<T: StoredMemory>(&mut self, key: &MemoryKey, value: T) {
        self.put(key, Some(Box::new(value)), None);
    }

    /// Remembers a value, and to be told of it at a time.
    pub fn schedule<T: StoredMemory>(&mut self, key: &MemoryKey, value: T, due_at: Timestamp) {
        self.put(key, Some(Box::new(value)), Some(due_at.as_millis()));
    }

    /// Forgets a value, where there is one.
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

    /// Whether a timer was set.
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
