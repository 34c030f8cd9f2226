-- The read side has a schema of its own, in which the server may create tables: every shape of a read model is a new
-- table `<model>_v<version>`, made by the code that declares it. Nothing in here is a record; all of it can be rebuilt
-- from the log.
--
-- Old code: there is none.

CREATE SCHEMA read;
GRANT USAGE, CREATE ON SCHEMA read TO roentgen_server;

-- How far each projection is, and the link that stood there.
CREATE TABLE read.checkpoints (
    projection text   PRIMARY KEY,
    position   bigint NOT NULL,
    hash       bytea  NOT NULL
) WITH (fillfactor = 50);

-- Streams that a projection could not fold, from a position on.
CREATE TABLE read.parked (
    projection text   NOT NULL,
    model      text   NOT NULL,
    stream_id  uuid   NOT NULL,
    position   bigint NOT NULL,
    reason     text   NOT NULL,
    PRIMARY KEY (projection, model, stream_id)
);

-- Who leads, by this database's clock.
CREATE TABLE read.leases (
    name       text        PRIMARY KEY,
    holder     uuid        NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO roentgen_server;
