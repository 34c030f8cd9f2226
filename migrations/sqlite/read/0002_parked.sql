-- Streams that a projection could not fold, from a position on.
--
-- Why: one bad event must not stop all others; a retry replays the stream. The first position found is the one that
-- stays.
--
-- Old code sees: nothing.
CREATE TABLE parked (
    projection TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    stream_id  BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (projection, model, stream_id)
) STRICT, WITHOUT ROWID;
