-- The register of the keys that events were encrypted with, and what binds the keys' file to this log.
--
-- The keys are in another file, which can be lost, restored from an earlier time, or belong to another log. The register
-- distinguishes a patient whose key was lost from a patient who never had one, and a start compares its last entries with
-- the keys, whatever the length of the log. An entry is written in the transaction that writes the first event encrypted
-- with the key; the key itself is on disk before (`store/src/sqlite/keys.rs`), so the keys are never older than their log
-- unless they were restored. `meta` contains the id of the keys' file (`keys_id`) and the fingerprint of the master key.
--
-- Compatibility: first release.

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
