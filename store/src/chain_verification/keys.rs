//! Check that every key named by sealed PHI in the log exists and opens, or was deleted on purpose.
//!
//! Memory use does not depend on the length of the log: the keys of one page are looked up together, and only the
//! latest 100,000 keys are remembered.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use uuid::Uuid;

use crate::engine::KeyStore;
use crate::error::EngineError;
use crate::keys::{MasterKey, sealing_key};
use crate::log::{KeyState, StoredEvent};

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const LISTED_AT_ONCE: u32 = 2000;
/// Maximum number of findings that are described; all are counted.
const TOLD: usize = 10;

/// The result of a key check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFindings {
    /// Number of keys in the log's key register that open under the master key.
    pub open: u64,
    /// Number of keys in the log's key register that have a tombstone.
    pub erased: u64,
    /// Number of sealed parts checked.
    pub parts: u64,
    /// Number of findings.
    pub wrong: u64,
    /// Descriptions of the first findings, at most 10.
    pub told: Vec<String>,
}

impl KeyFindings {
    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.told.len() < TOLD {
            self.told.push(what());
        }
    }
}

/// Checks keys page by page.
#[derive(Debug)]
pub struct KeyCheck<'a> {
    store: &'a dyn KeyStore,
    master: &'a MasterKey,
    /// Keys that were checked already, so that a finding about a key is reported once.
    judged: LruCache<Uuid, ()>,
    findings: KeyFindings,
}

/// The state of one key.
enum Found {
    Open,
    Erased,
    Missing,
    Closed,
}

impl<'a> KeyCheck<'a> {
    /// Creates a check of this log's keys under this master key.
    pub fn new(store: &'a dyn KeyStore, master: &'a MasterKey) -> Self {
        Self {
            store,
            master,
            judged: LruCache::new(REMEMBERED),
            findings: KeyFindings::default(),
        }
    }

    /// Checks the keys that events name.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn events(&mut self, events: &[StoredEvent]) -> Result<(), EngineError> {
        let named = events.iter().filter_map(NamedKey::from_event).collect();
        self.parts(named).await
    }

    /// Checks the keys that sealed parts name.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn parts(&mut self, named: Vec<NamedKey>) -> Result<(), EngineError> {
        self.findings.parts += named.len() as u64;
        let mut first = BTreeMap::new();
        for NamedKey { position, key_id } in named {
            match key_id {
                Some(key_id) if self.judged.get(&key_id).is_none() => {
                    first.entry(key_id).or_insert(position);
                }
                Some(_) => {}
                None => self
                    .findings
                    .wrong(|| format!("malformed sealed PHI at position {position}")),
            }
        }
        let ids: Vec<Uuid> = first.keys().copied().collect();
        for (key_id, found) in self.look_up(&ids).await? {
            let position = first.get(&key_id).copied().unwrap_or_default();
            let at = format!("which the sealed part at position {position} names");
            self.judge(key_id, &found, &at);
        }
        Ok(())
    }

    /// Checks all keys in the log's key register and returns the findings of the whole check.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the database fails.
    pub async fn finish(mut self) -> Result<KeyFindings, EngineError> {
        let mut after = 0;
        loop {
            let page = self.store.registered_keys(after, LISTED_AT_ONCE).await?;
            let Some(last) = page.last() else {
                return Ok(self.findings);
            };
            after = last.number;
            let ids: Vec<Uuid> = page.iter().map(|entry| entry.key_id).collect();
            for (key_id, found) in self.look_up(&ids).await? {
                match found {
                    Found::Open => self.findings.open += 1,
                    Found::Erased => self.findings.erased += 1,
                    Found::Missing | Found::Closed => {
                        self.judge(key_id, &found, "which the log lists");
                    }
                }
            }
        }
    }

    fn judge(&mut self, key_id: Uuid, found: &Found, named: &str) {
        if self.judged.put(key_id, ()).is_some() {
            return;
        }
        match found {
            Found::Open | Found::Erased => {}
            Found::Missing => self
                .findings
                .wrong(|| format!("key {key_id}, {named}, is neither there nor has a tombstone")),
            Found::Closed => self
                .findings
                .wrong(|| format!("key {key_id}, {named}, does not open under the master key")),
        }
    }

    async fn look_up(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, Found)>, EngineError> {
        let standing = match ids {
            [] => Vec::new(),
            ids => self.store.keys_by_id(ids).await?,
        };
        let mut found: BTreeMap<Uuid, Found> = ids.iter().map(|id| (*id, Found::Missing)).collect();
        for standing in standing {
            let key_id = standing.key_id();
            let is_open = match &standing {
                KeyState::Kept(key) if self.master.opens(key) => Found::Open,
                KeyState::Kept(_) => Found::Closed,
                KeyState::Erased(_) => Found::Erased,
            };
            found.insert(key_id, is_open);
        }
        Ok(found.into_iter().collect())
    }
}

/// The key that a sealed part names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedKey {
    /// Position of the event.
    pub position: u64,
    /// Key id; `None` if the sealed part is malformed.
    pub key_id: Option<Uuid>,
}

impl NamedKey {
    /// Returns the key that an event's sealed PHI names, or `None` if the event has no sealed PHI.
    pub fn from_event(event: &StoredEvent) -> Option<Self> {
        (!event.sealed.is_empty()).then(|| Self {
            position: event.position,
            key_id: sealing_key(&event.sealed),
        })
    }
}
