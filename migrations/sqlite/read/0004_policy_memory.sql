-- What policies (events that lead to commands) remember between events, and the effects that were refused for good.
--
-- Why here: both are written in the transaction that moves the policies' checkpoint, so that memory is always that of
-- the checkpoint, and a crash takes both back together. `id` is derived from topic, tenant and key, so that one look-up
-- serves a whole batch of events. `due_at` (milliseconds since the epoch) makes a row a timer.
--
-- Old code sees: nothing.
CREATE TABLE policy_memory (
    id     BLOB    PRIMARY KEY,
    topic  TEXT    NOT NULL,
    tenant BLOB    NOT NULL,
    key    TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    due_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX policy_memory_by_due ON policy_memory (due_at) WHERE due_at IS NOT NULL;

-- The causing event's position; the reason names no person and no content.
CREATE TABLE policy_refusals (
    position INTEGER NOT NULL,
    effect   TEXT    NOT NULL,
    tenant   BLOB    NOT NULL,
    reason   TEXT    NOT NULL,
    PRIMARY KEY (position, effect)
) STRICT, WITHOUT ROWID;
