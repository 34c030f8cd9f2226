-- How far each projection is.
--
-- Why: it moves in the transaction that writes the rows, by compare-and-set on both columns, so that a holder that was
-- paused does no harm, and a log that was restored to an earlier point is noticed by its hash.
--
-- Old code sees: nothing. The read models' own tables are created by their declarations (`Engine::create_model`).
CREATE TABLE checkpoints (
    projection TEXT    PRIMARY KEY,
    position   INTEGER NOT NULL,
    hash       BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
