-- Patients' data keys, wrapped by the master key.
--
-- Why a file of their own: destroying a key erases the patient everywhere, so its bytes must leave the disk
-- (`secure_delete`), and backups of the log must not bring it back.
--
-- Old code sees: nothing.
CREATE TABLE patient_keys (
    tenant     BLOB    NOT NULL,
    patient    BLOB    NOT NULL,
    key_id     BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, patient)
) STRICT, WITHOUT ROWID;
