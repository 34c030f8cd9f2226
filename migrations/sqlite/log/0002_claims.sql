-- Reservations: unique keys with an expiry, taken in the transaction of an append. Idempotency keys and the effects of
-- policies are reserved here. No response is stored, only the stream and version at which the resource was returned. A
-- reservation counts until `expires_at`; the index serves the sweep.
--
-- Compatibility: first release.

CREATE TABLE claims (
    key          BLOB    PRIMARY KEY,
    request_hash BLOB    NOT NULL,
    stream_id    BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_by_expiry ON claims (expires_at);
