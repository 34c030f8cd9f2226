-- The log's own list of the keys that its events are sealed under, and what ties the keys file to this log.
--
-- Why: the keys lie in another file, which can be lost, restored from an earlier time, or be another log's. With the
-- list a patient whose key was lost is told from a patient who never had one, without a look at any event, and a start
-- compares the last entries with the keys, whatever the log's length. An entry is written in the transaction that writes
-- the first event under its key; the key itself is on disk before (`store/src/sqlite/keys.rs`), so that keys are never
-- older than their log but by a restore. `meta` has the keys file's id (`keys_id`) and the master key's fingerprint.
--
-- Old code sees: nothing. A log that it wrote is tied, and its keys are listed, when it is first opened.
CREATE TABLE key_register (
    number  INTEGER PRIMARY KEY,
    tenant  BLOB NOT NULL,
    patient BLOB NOT NULL,
    key_id  BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX key_register_by_patient ON key_register (tenant, patient, key_id);

CREATE TRIGGER key_register_is_never_updated BEFORE UPDATE ON key_register
BEGIN
    SELECT RAISE(ABORT, 'the key register is append-only: no UPDATE');
END;

CREATE TRIGGER key_register_is_never_deleted BEFORE DELETE ON key_register
BEGIN
    SELECT RAISE(ABORT, 'the key register is append-only: no DELETE');
END;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
