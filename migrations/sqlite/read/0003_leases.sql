-- Who leads: projector, policies and relays run in one process at a time.
--
-- Why here: a lease is renewed every few seconds and worth nothing after a crash, so it stays out of the log's file
-- and its syncs.
--
-- Old code sees: nothing.
CREATE TABLE leases (
    name       TEXT    PRIMARY KEY,
    holder     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
