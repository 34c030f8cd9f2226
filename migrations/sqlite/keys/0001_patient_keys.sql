-- Patient keys, their tombstones, and the secrets of the catalog.
--
-- The keys have a file of their own: deleting a key erases the patient everywhere, so its bytes must leave the disk
-- (`secure_delete`), and backups of the log must not bring them back.
--
-- Each patient's PHI is encrypted with one key, which is stored here, wrapped by the master key. A missing key is not an
-- erasure: a key cannot be deleted without a tombstone that names the key, its patient, the master key, the time and the
-- person, and a tombstone is permanent. Both are written in one transaction and are in every later backup of the keys.
--
-- `master_id` is the fingerprint of the master key that wraps the row: a rotation finds the rows that it has not
-- wrapped yet.
--
-- Compatibility: first release.

CREATE TABLE patient_keys (
    tenant     BLOB    NOT NULL,
    patient    BLOB    NOT NULL,
    key_id     BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    master_id  BLOB,
    PRIMARY KEY (tenant, patient)
) STRICT, WITHOUT ROWID;

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

-- Facts about this file by name: the fingerprint of the master key it was first opened with, and `keys_id`, a random id
-- that the log's file repeats.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Passwords and tokens of PACS endpoints and AI models, encrypted with the master key; tenant and id are associated
-- data. Events refer to a secret by its id. Stored with the keys, and backed up with them.
CREATE TABLE secrets (
    tenant     BLOB    NOT NULL,
    id         BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    master_id  BLOB,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
