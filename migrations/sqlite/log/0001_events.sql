-- The event log: events, and the streams they belong to.
--
-- Positions run from 1 without gaps in commit order. SQLite stores the table in that order, so a page of the log is one
-- range scan. `payload` and `metadata` keep their exact bytes, because the hash chain (`leaf`, `hash`) covers them. They
-- are checked to be JSON, as on PostgreSQL: one malformed payload would break every page that looks into payloads. Times
-- are milliseconds since the epoch, ids are 16 bytes.
--
-- Compatibility: first release.

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

-- One event per version: expected versions hold even if every other check fails.
CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);

-- The feed of a tenant. Every index entry ends with the position.
CREATE INDEX events_by_tenant ON events (tenant);

-- The log is append-only: a server that can rewrite its own audit trail proves nothing. `INSERT OR REPLACE` deletes
-- without firing a DELETE trigger on connections without `recursive_triggers` (a shell, for example), so inserts are
-- limited to the next position and to free versions before they replace anything.
CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: no UPDATE');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: no DELETE');
END;

CREATE TRIGGER events_go_to_the_end BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: position must be the next one');
END;

CREATE TRIGGER events_take_free_versions BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE stream_id = NEW.stream_id AND version = NEW.version)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: duplicate stream version');
END;

-- Version and positions of each stream. An append compares expected versions with `version`; `verify` compares the rows
-- with the events, so that a truncated log is noticed.
CREATE TABLE streams (
    id             BLOB    PRIMARY KEY,
    type           TEXT    NOT NULL,
    tenant         BLOB    NOT NULL,
    version        INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    last_position  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER streams_are_never_deleted BEFORE DELETE ON streams
BEGIN
    SELECT RAISE(ABORT, 'streams are append-only: no DELETE');
END;
