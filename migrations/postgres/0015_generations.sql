-- A read model is filled again beside the one that is read, and takes its place when it is whole: every filling is a
-- generation, with a table, a state and a checkpoint of its own.
--
-- Why a checkpoint a table: nodes of two releases read tables of different shapes, and each table is projected by a node
-- that knows its shape (docs/adr/0011). All that one node projects still moves in one transaction. The names of a
-- generation's tables are kept with it, since a later release does not know those of an earlier one.
--
-- Streams are parked by table: the projections' common name is gone from their key.
--
-- Old code must not run beside it: it looks for its checkpoint and its parked streams where they were. No release had
-- that.

CREATE TABLE read.generations (
    name       text    PRIMARY KEY,
    model      text    NOT NULL,
    version    integer NOT NULL,
    generation integer NOT NULL,
    tables     text    NOT NULL,
    state      text    NOT NULL,
    position   bigint  NOT NULL,
    hash       bytea   NOT NULL,
    -- Streams that were compared with the log, while that is what it is at.
    checked    bigint  NOT NULL DEFAULT 0,
    -- Why it failed; names no person and no content.
    reason     text
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX generations_live ON read.generations (model, version) WHERE state = 'live';
CREATE UNIQUE INDEX generations_building ON read.generations (model, version)
    WHERE state IN ('filling', 'indexing', 'verifying', 'joining');

GRANT SELECT, INSERT, UPDATE, DELETE ON read.generations TO roentgen_server;

DELETE FROM read.checkpoints WHERE projection = 'read-models';
DELETE FROM read.parked;
ALTER TABLE read.parked DROP COLUMN projection;
ALTER TABLE read.parked ADD PRIMARY KEY (model, stream_id);
