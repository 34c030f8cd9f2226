-- Policy memory, rejected effects, and leases.
--
-- Memory and rejected effects are written in the transaction that advances the policies' checkpoint, and a crash takes
-- back all of it together. Leases are renewed every few seconds and worthless after a crash, so they stay out of the
-- log's file and its syncs.
--
-- Compatibility: first release.

-- `id` is derived from topic, tenant and key, so one lookup serves a whole batch of events. A row with `due_at`
-- (milliseconds since the epoch) is a timer.
CREATE TABLE policy_memory (
    id     BLOB    PRIMARY KEY,
    topic  TEXT    NOT NULL,
    tenant BLOB    NOT NULL,
    key    TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    due_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX policy_memory_by_due ON policy_memory (due_at) WHERE due_at IS NOT NULL;

-- `position` is that of the causing event; the reason contains no PHI.
CREATE TABLE policy_refusals (
    position INTEGER NOT NULL,
    effect   TEXT    NOT NULL,
    tenant   BLOB    NOT NULL,
    reason   TEXT    NOT NULL,
    PRIMARY KEY (position, effect)
) STRICT, WITHOUT ROWID;

-- Projector, policies and relays run in one process at a time: the one that holds the lease.
CREATE TABLE leases (
    name       TEXT    PRIMARY KEY,
    holder     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
