-- Read models, policies, leases, and the checkpoints of relays.
--
-- The schema `read` contains nothing that is a record: all of it can be rebuilt from the log. The server may create
-- tables in it, because every schema version of a read model is a table of its own, `<model>_v<version>`, created by the
-- code that declares it.
--
-- Locks: none, new tables.
-- Compatibility: first release.

CREATE SCHEMA read;
GRANT USAGE, CREATE ON SCHEMA read TO roentgen_server;

-- Checkpoints of subscriptions: the last position processed and its hash. Advanced by compare-and-set.
CREATE TABLE read.checkpoints (
    projection text   PRIMARY KEY,
    position   bigint NOT NULL,
    hash       bytea  NOT NULL
) WITH (fillfactor = 50);

-- Generations of read models. A rebuild fills a new generation in parallel to the live one and then replaces it
-- (docs/adr/0011). Each generation has its own checkpoint, because nodes of two releases read tables of different
-- schemas and each table is projected by a node that knows its schema; what one node projects still advances in one
-- transaction. The names of a generation's tables are stored, because a later release does not know those of an earlier
-- one.
CREATE TABLE read.generations (
    name       text    PRIMARY KEY,
    model      text    NOT NULL,
    version    integer NOT NULL,
    generation integer NOT NULL,
    tables     text    NOT NULL,
    state      text    NOT NULL,
    position   bigint  NOT NULL,
    hash       bytea   NOT NULL,
    -- Number of streams verified against the log, while the state is `verifying`.
    checked    bigint  NOT NULL DEFAULT 0,
    -- Why it failed; contains no PHI.
    reason     text,
    -- Backfill target: each stream is folded once, with its events up to this position. A node that continues a backfill
    -- must continue to the same position (docs/adr/0014).
    upto       bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX generations_live ON read.generations (model, version) WHERE state = 'live';
CREATE UNIQUE INDEX generations_building ON read.generations (model, version)
    WHERE state IN ('filling', 'indexing', 'verifying', 'joining');

-- Streams that a generation cannot apply, from a position on.
CREATE TABLE read.parked (
    model     text   NOT NULL,
    stream_id uuid   NOT NULL,
    position  bigint NOT NULL,
    reason    text   NOT NULL,
    PRIMARY KEY (model, stream_id)
);

-- Leases, by this database's clock.
CREATE TABLE read.leases (
    name       text        PRIMARY KEY,
    holder     uuid        NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Policy memory and the effects that were rejected for good, both written in the transaction that advances the policies'
-- checkpoint. `id` is derived from topic, tenant and key, so one lookup serves a whole batch of events. A row with
-- `due_at` (milliseconds since the epoch) is a timer.
CREATE TABLE read.policy_memory (
    id     uuid   PRIMARY KEY,
    topic  text   NOT NULL,
    tenant uuid   NOT NULL,
    key    text   NOT NULL,
    value  text   NOT NULL,
    due_at bigint
) WITH (fillfactor = 80);

CREATE INDEX policy_memory_by_due ON read.policy_memory (due_at) WHERE due_at IS NOT NULL;

-- `position` is that of the causing event; the reason contains no PHI.
CREATE TABLE read.policy_refusals (
    position bigint NOT NULL,
    effect   text   NOT NULL,
    tenant   uuid   NOT NULL,
    reason   text   NOT NULL,
    PRIMARY KEY (position, effect)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO roentgen_server;

-- Checkpoints of relays (NATS JetStream): what has been published, and where it is in the stream. Not in the schema
-- `read`, because it cannot be rebuilt from the log: a stream that was emptied by age or by hand does not tell what it
-- contained. One row, advanced by compare-and-set a few times a second at most. `stream_created` is the stream's creation
-- time in nanoseconds since the epoch, by the clock of the NATS server.
CREATE TABLE relays (
    name           text   PRIMARY KEY,
    position       bigint NOT NULL,
    hash           bytea  NOT NULL,
    stream_created bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON relays TO roentgen_server;
