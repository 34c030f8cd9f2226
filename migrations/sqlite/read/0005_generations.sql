-- A read model is filled again beside the one that is read, and takes its place when it is whole: every filling is a
-- generation, with a table, a state and a checkpoint of its own.
--
-- Why a checkpoint a table: processes of two releases read tables of different shapes, and each table is projected by
-- one that knows its shape (docs/adr/0011). All that one process projects still moves in one transaction. The names of a
-- generation's tables are kept with it, since a later release does not know those of an earlier one.
--
-- Streams are parked by table: the projections' common name is gone from their key.
--
-- Old code must not run beside it: it looks for its checkpoint and its parked streams where they were. No release had
-- that.
CREATE TABLE generations (
    name       TEXT    PRIMARY KEY,
    model      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    tables     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    -- Streams that were compared with the log, while that is what it is at.
    checked    INTEGER NOT NULL DEFAULT 0,
    -- Why it failed; names no person and no content.
    reason     TEXT
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX generations_live ON generations (model, version) WHERE state = 'live';
CREATE UNIQUE INDEX generations_building ON generations (model, version)
    WHERE state IN ('filling', 'indexing', 'verifying', 'joining');

DELETE FROM checkpoints WHERE projection = 'read-models';
DROP TABLE parked;
CREATE TABLE parked (
    model     TEXT    NOT NULL,
    stream_id BLOB    NOT NULL,
    position  INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    PRIMARY KEY (model, stream_id)
) STRICT, WITHOUT ROWID;
