-- The log. Positions are dense from 1 in commit order; `log_append` alone hands them out.
--
-- Partitioned by position from the first day, since a table of a billion rows cannot be turned into one later. The
-- parent's key is the position alone (a unique key of a partitioned table must hold the partition key); each partition
-- has its own unique (stream_id, version), and what is unique over the whole log is kept by `streams`.
-- Partitions come from `log_ensure_partitions`.
--
-- `payload` and `metadata` are `json`, never `jsonb`: their bytes are kept, and the chain covers them.
-- Times are milliseconds since the epoch.
--
-- Old code: there is none.

CREATE TABLE events (
    position       bigint  NOT NULL,
    tenant         uuid    NOT NULL,
    stream_type    text    NOT NULL,
    stream_id      uuid    NOT NULL,
    version        bigint  NOT NULL,
    event_id       uuid    NOT NULL,
    type           text    NOT NULL,
    schema_version integer NOT NULL,
    recorded_at    bigint  NOT NULL,
    payload        json    NOT NULL,
    sealed         bytea   NOT NULL,
    metadata       json    NOT NULL,
    leaf           bytea   NOT NULL,
    hash           bytea   NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

CREATE INDEX events_by_tenant ON events (tenant, position);

-- lz4 where the server was built with it; PostgreSQL's own compression elsewhere.
DO $$
BEGIN
    ALTER TABLE events
        ALTER COLUMN payload SET COMPRESSION lz4,
        ALTER COLUMN sealed SET COMPRESSION lz4,
        ALTER COLUMN metadata SET COMPRESSION lz4;
EXCEPTION
    WHEN feature_not_supported OR invalid_parameter_value THEN NULL;
END $$;

GRANT SELECT, INSERT ON events TO roentgen_server;
