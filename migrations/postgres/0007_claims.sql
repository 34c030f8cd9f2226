-- Unique keys: idempotency keys, a policy's causing event. A key is SHA-256 of what it is for; it is free again once it
-- has expired (milliseconds since the epoch), and forgotten some time after that.
--
-- Old code: there is none.

CREATE TABLE claims (
    key          bytea  PRIMARY KEY,
    request_hash bytea  NOT NULL,
    stream_id    uuid   NOT NULL,
    version      bigint NOT NULL,
    expires_at   bigint NOT NULL
);

CREATE INDEX claims_by_expiry ON claims (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON claims TO roentgen_server;
