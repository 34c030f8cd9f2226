-- The catalog's secrets (passwords and tokens of PACS endpoints and AI models), sealed under the master key with tenant
-- and id as associated data.
--
-- Why here: they are kept and backed up with the keys, apart from the log that names them by id.
--
-- Old code sees: nothing.
CREATE TABLE secrets (
    tenant     BLOB    NOT NULL,
    id         BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
