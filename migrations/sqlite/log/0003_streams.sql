-- One row a stream: where it stands.
--
-- Why: an append compares expected versions with `version`, and `verify` compares these rows with the events, so that
-- a removed tail of the log is noticed.
--
-- Old code sees: nothing.
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
    SELECT RAISE(ABORT, 'streams are as permanent as their events: no DELETE');
END;
