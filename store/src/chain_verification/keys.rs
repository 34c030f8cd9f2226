//! Whether every key that the log's sealed parts name is there and opens, or was destroyed on purpose.
//!
//! Memory is bounded, however long the log is: a page's keys are looked up together, and only the latest ones are
//! remembered.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lru::LruCache;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::keys::{MasterKey, sealing_key};
use crate::log::{KeyState, StoredEvent};

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const LISTED_AT_ONCE: u32 = 2000;
/// How many findings are told by name; all are counted.
const TOLD: usize = 10;

/// What was found of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFindings {
    /// Keys of the log's list that open under the master key.
    pub open: u64,
    /// Keys of the log's list that have a tombstone.
    pub erased: u64,
    /// Sealed parts that were looked at.
    pub parts: u64,
    /// How much is wrong.
    pub wrong: u64,
    /// The first of it, in words.
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

/// Looks at keys page by page.
#[derive(Debug)]
pub struct KeyCheck<'a> {
    engine: &'a dyn Engine,
    master: &'a MasterKey,
    /// Keys that were looked at: what is wrong with one is told once.
    judged: LruCache<Uuid, ()>,
    findings: KeyFindings,
}

/// What became of one key.
enum Found {
    Open,
    Erased,
    Missing,
    Closed,
}

impl<'a> KeyCheck<'a> {
    /// Of the keys beside this log, under this master key.
    pub fn new(engine: &'a dyn Engine, master: &'a MasterKey) -> Self {
        Self {
            engine,
            master,
            judged: LruCache::new(REMEMBERED),
            findings: KeyFindings::default(),
        }
    }

    /// Looks at the keys that events name.
    ///
    /// # Errors
    ///
    /// Where the database does not answer.
    pub async fn events(&mut self, events: &[StoredEvent]) -> Result<(), EngineError> {
        let named = events.iter().filter_map(NamedKey::from_event).collect();
        self.parts(named).await
    }

    /// Looks at the keys that sealed parts name.
    ///
    /// # Errors
    ///
    /// Where the database does not answer.
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

    /// Looks at all that the log lists, and says what was found of everything.
    ///
    /// # Errors
    ///
    /// Where the database does not answer.
    pub async fn finish(mut self) -> Result<KeyFindings, EngineError> {
        let mut after = 0;
        loop {
            let page = self.engine.registered_keys(after, LISTED_AT_ONCE).await?;
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
            ids => self.engine.keys_by_id(ids).await?,
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

/// A sealed part, and the key that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedKey {
    /// Its event's position.
    pub position: u64,
    /// The key; `None` where the part is out of form.
    pub key_id: Option<Uuid>,
}

impl NamedKey {
    /// An event's sealed part, if it has one.
    pub fn from_event(event: &StoredEvent) -> Option<Self> {
        (!event.sealed.is_empty()).then(|| Self {
            position: event.position,
            key_id: sealing_key(&event.sealed),
        })
    }
}
