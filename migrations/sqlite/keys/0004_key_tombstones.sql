-- A key that is missing is not an erasure: only a tombstone says that a key was destroyed on purpose. Each one names the
-- key, its patient, what had wrapped it, when it was destroyed and by whom.
--
-- Why here: a tombstone has to be with the keys, in one transaction with the deletion, and in every later backup of them.
-- A key cannot be deleted without its tombstone, and a tombstone is never changed or removed. `master_id` is the
-- fingerprint of the key that wraps a row, so that a rotation finds the rows that it has still to wrap again; rows that
-- are there already are wrapped by the one master key that this file knows. `meta` gets `keys_id`, a random id that the
-- log's file repeats.
--
-- Old code sees: nothing, and reads every key that is not there as erased, as before.
ALTER TABLE patient_keys ADD COLUMN master_id BLOB;
UPDATE patient_keys SET master_id = (SELECT value FROM meta WHERE name = 'master_key_fingerprint');

ALTER TABLE secrets ADD COLUMN master_id BLOB;
UPDATE secrets SET master_id = (SELECT value FROM meta WHERE name = 'master_key_fingerprint');

CREATE UNIQUE INDEX patient_keys_by_id ON patient_keys (key_id);

CREATE TABLE key_tombstones (
    key_id    BLOB    PRIMARY KEY,
    tenant    BLOB    NOT NULL,
    patient   BLOB    NOT NULL,
    master_id BLOB,
    erased_at INTEGER NOT NULL,
    erased_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX key_tombstones_by_patient ON key_tombstones (tenant, patient);

CREATE TRIGGER patient_keys_are_not_lost BEFORE DELETE ON patient_keys
WHEN NOT EXISTS (SELECT 1 FROM key_tombstones WHERE key_id = OLD.key_id)
BEGIN
    SELECT RAISE(ABORT, 'the patient key has no tombstone: no DELETE');
END;

CREATE TRIGGER patient_keys_keep_their_ids BEFORE UPDATE OF tenant, patient, key_id ON patient_keys
BEGIN
    SELECT RAISE(ABORT, 'a patient key keeps its id and its patient');
END;

CREATE TRIGGER key_tombstones_are_never_updated BEFORE UPDATE ON key_tombstones
BEGIN
    SELECT RAISE(ABORT, 'a tombstone is permanent: no UPDATE');
END;

CREATE TRIGGER key_tombstones_are_never_deleted BEFORE DELETE ON key_tombstones
BEGIN
    SELECT RAISE(ABORT, 'a tombstone is permanent: no DELETE');
END;
