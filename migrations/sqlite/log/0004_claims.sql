-- Unique keys that appends take: idempotency keys, a policy's causing event.
--
-- Why: they must be taken in the very transaction that writes the events. No answer is stored, only where to find it:
-- the stream and the version at which the resource was answered. A claim counts until `expires_at`; the index serves
-- the sweep.
--
-- Old code sees: nothing.
CREATE TABLE claims (
    key          BLOB    PRIMARY KEY,
    request_hash BLOB    NOT NULL,
    stream_id    BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_by_expiry ON claims (expires_at);
