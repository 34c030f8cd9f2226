//! What policies remember, in memory for one batch of events.

use std::collections::HashMap;

use roentgen_domain::Timestamp;
use roentgen_store::memory::{Memory, MemoryKey, RefusedEffect};
use roentgen_store::subscription::Changes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The values that a batch asked for, and what became of them so far.
#[derive(Debug, Default)]
pub struct Recall {
    known: HashMap<Uuid, Memory>,
    /// `None` is forgotten.
    changed: HashMap<Uuid, Option<Memory>>,
}

impl Recall {
    /// What was there before the batch.
    pub(super) fn of(memories: Vec<Memory>) -> Self {
        Self {
            known: memories.into_iter().map(|it| (it.id, it)).collect(),
            changed: HashMap::new(),
        }
    }

    /// The value under a key that the policy said it recalls.
    pub fn get<T: DeserializeOwned>(&self, key: &MemoryKey) -> Option<T> {
        let id = key.id();
        let memory = match self.changed.get(&id) {
            Some(changed) => changed.as_ref()?,
            None => self.known.get(&id)?,
        };
        match serde_json::from_str(&memory.value) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(topic = memory.topic, %error, "a policy does not know its own memory");
                None
            }
        }
    }

    /// Remembers a value, or changes it.
    pub fn keep<T: Serialize>(&mut self, key: &MemoryKey, value: &T) {
        self.put(key, value, None);
    }

    /// Remembers a value, and to be told of it at a time.
    pub fn remind<T: Serialize>(&mut self, key: &MemoryKey, value: &T, due_at: Timestamp) {
        self.put(key, value, Some(due_at.as_millis()));
    }

    fn put<T: Serialize>(&mut self, key: &MemoryKey, value: &T, due_at_ms: Option<i64>) {
        let value = serde_json::to_string(value).unwrap_or_default();
        let memory = Memory::new(key, value, due_at_ms);
        self.changed.insert(memory.id, Some(memory));
    }

    /// Forgets a value, where there is one.
    pub fn forget(&mut self, key: &MemoryKey) {
        self.changed.insert(key.id(), None);
    }

    /// Whether a timer was set.
    pub(super) fn sets_timers(&self) -> bool {
        let mut kept = self.changed.values().flatten();
        kept.any(|it| it.due_at_ms.is_some())
    }

    pub(super) fn into_changes(self, refusals: Vec<RefusedEffect>) -> Changes {
        let mut changes = Changes {
            refusals,
            ..Changes::default()
        };
        for (id, memory) in self.changed {
            match memory {
                Some(memory) => changes.kept.push(memory),
                None => changes.forgotten.push(id),
            }
        }
        changes
    }
}
