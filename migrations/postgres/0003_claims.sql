-- Reservations: unique keys with an expiry, taken in the transaction of an append. Idempotency keys and the effects of
-- policies are reserved here. A key is the SHA-256 of what it is for. It is free again once it has expired
-- (milliseconds since the epoch), and a sweep deletes it some time later.
--
-- Locks: none, a new table.
-- Compatibility: first release.

CREATE TABLE claims (
    key          bytea  PRIMARY KEY,
    request_hash bytea  NOT NULL,
    stream_id    uuid   NOT NULL,
    version      bigint NOT NULL,
    expires_at   bigint NOT NULL
);

CREATE INDEX claims_by_expiry ON claims (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON claims TO roentgen_server;
