-- Read models: checkpoints, generations, and parked streams. Nothing here is a record: all of it can be rebuilt from the
-- log. The tables of the read models are created by the code that declares them.
--
-- Compatibility: first release.

-- Checkpoints of subscriptions: the last position processed and its hash. Advanced in the transaction that writes the
-- rows, by compare-and-set on both columns: a paused holder does no harm, and a log that was restored to an earlier point
-- is noticed by its hash.
CREATE TABLE checkpoints (
    projection TEXT    PRIMARY KEY,
    position   INTEGER NOT NULL,
    hash       BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Generations of read models. A rebuild fills a new generation in parallel to the live one and then replaces it
-- (docs/adr/0011). Each generation has its own checkpoint, because processes of two releases read tables of different
-- schemas and each table is projected by one that knows its schema; what one process projects still advances in one
-- transaction. The names of a generation's tables are stored, because a later release does not know those of an earlier
-- one.
CREATE TABLE generations (
    name       TEXT    PRIMARY KEY,
    model      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    tables     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    -- Number of streams verified against the log, while the state is `verifying`.
    checked    INTEGER NOT NULL DEFAULT 0,
    -- Why it failed; contains no PHI.
    reason     TEXT,
    -- Backfill target: each stream is folded once, with its events up to this position. A process that continues a
    -- backfill must continue to the same position (docs/adr/0014).
    upto       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX generations_live ON generations (model, version) WHERE state = 'live';
CREATE UNIQUE INDEX generations_building ON generations (model, version)
    WHERE state IN ('filling', 'indexing', 'verifying', 'joining');

-- Streams that a generation cannot apply, from a position on. The first position found stays until a retry succeeds.
CREATE TABLE parked (
    model     TEXT    NOT NULL,
    stream_id BLOB    NOT NULL,
    position  INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (model, stream_id)
) STRICT, WITHOUT ROWID;
