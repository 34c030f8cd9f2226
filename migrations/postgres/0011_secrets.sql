-- The catalog's secrets (passwords and tokens of PACS endpoints and AI models), sealed under the master key with tenant
-- and id as associated data. Events name a secret by its id; its bytes are here and nowhere else. A changed secret is a
-- new row, so that the server only adds and reads.
--
-- Old code: does not look here.

CREATE TABLE secrets (
    tenant     uuid   NOT NULL,
    id         uuid   NOT NULL,
    sealed     bytea  NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

GRANT SELECT, INSERT ON secrets TO roentgen_server;
