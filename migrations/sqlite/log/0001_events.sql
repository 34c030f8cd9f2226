-- The log.
--
-- Why: every fact is one row here, and everything else can be made again from it. `position` is dense from 1 in commit
-- order; SQLite keeps the table in that order, so that a page of the log is one walk. `payload` and `metadata` keep
-- their exact bytes, since `leaf` and `hash` (the chain, store/src/chain.rs) cover them. That they are JSON is
-- checked here as on PostgreSQL: one event that is not would break every page that looks into payloads. Times are
-- milliseconds since the epoch, ids are 16 bytes.
--
-- Old code sees: nothing, this is the first table.
CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    tenant         BLOB    NOT NULL,
    stream_type    TEXT    NOT NULL,
    stream_id      BLOB    NOT NULL,
    version        INTEGER NOT NULL,
    event_id       BLOB    NOT NULL,
    type           TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL,
    payload        TEXT    NOT NULL CHECK (json_valid(payload)),
    sealed         BLOB    NOT NULL,
    metadata       TEXT    NOT NULL CHECK (json_valid(metadata)),
    leaf           BLOB    NOT NULL,
    hash           BLOB    NOT NULL
) STRICT;

-- One event a version: what makes an expected version binding even where all other checks fail.
CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);

-- A tenant's feed. Every index entry ends with the position already.
CREATE INDEX events_by_tenant ON events (tenant);
