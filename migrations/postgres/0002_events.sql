-- The event log: events in partitions, and the streams they belong to.
--
-- Positions run from 1 without gaps in commit order; only `log_append` assigns them. The table is partitioned by
-- position from the first day, because a table of a billion rows cannot be partitioned later. A unique key of a
-- partitioned table must contain the partition key, so the parent's key is the position alone; each partition has its
-- own unique (stream_id, version), and `streams` keeps both unique over the whole log.
--
-- `payload` and `metadata` are `json`, never `jsonb`: their bytes are preserved, and the hash chain covers them. Times
-- are milliseconds since the epoch.
--
-- Functions with the owner's rights resolve names in pg_catalog only, and name the schema of every table. A function,
-- operator or cast in `public` that matches an argument better than the one in pg_catalog would otherwise be chosen.
--
-- Locks: none, new tables.
-- Compatibility: first release.

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

-- lz4 if the server was built with it, PostgreSQL's own compression otherwise.
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

-- Rejects UPDATE, DELETE and TRUNCATE, also by the owner. Partitions inherit row triggers from the parent but not
-- TRUNCATE triggers, so `log_ensure_partitions` creates one on each partition.
CREATE FUNCTION events_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'event log is append-only: % on % rejected', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

REVOKE ALL ON FUNCTION events_refuse_change() FROM PUBLIC;

CREATE TRIGGER events_are_append_only
    BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change();

CREATE TRIGGER events_are_not_truncated
    BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();

CREATE TABLE log_partitions (
    first_position bigint PRIMARY KEY,
    past_position  bigint NOT NULL UNIQUE
);

GRANT SELECT ON log_partitions TO roentgen_server;

-- Creates partitions until one contains the position `upto`. Returns the first position that no partition contains.
--
-- ATTACH PARTITION takes SHARE UPDATE EXCLUSIVE on the parent, which conflicts neither with readers and writers nor with
-- a transaction that stays open for hours. CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE and block all
-- writers behind one idle transaction. The function runs as the owner, so the server needs no right to create tables in
-- `public`. Partitions have no grants: they are accessed through the parent. Partitions are created well before they are
-- needed, so the function gives up after 500 ms if somebody alters or analyzes the parent.
CREATE FUNCTION log_ensure_partitions(upto bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms' AS $$
DECLARE
    batch CONSTANT bigint := 4096;
    past bigint;
    size bigint;
    last_size bigint;
    head bigint;
    part text;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('roentgen.partitions', 0));
    SELECT p.past_position, p.past_position - p.first_position INTO past, last_size
    FROM public.log_partitions p ORDER BY p.past_position DESC LIMIT 1;
    past := coalesce(past, 0);
    size := coalesce(
        (SELECT pg_catalog.convert_from(m.value, 'UTF8')::bigint FROM public.meta m WHERE m.name = 'partition_size'),
        10000000);
    head := coalesce((SELECT e.position FROM public.events e ORDER BY e.position DESC LIMIT 1), 0);
    -- An append needs the positions of one batch; the next partition is asked for by its first position.
    IF upto - batch - 2 * greatest(size, last_size) > head THEN
        RAISE EXCEPTION 'position % is too far ahead of the head, %', upto, head;
    END IF;
    WHILE past <= upto LOOP
        part := pg_catalog.format('events_from_%s', past);
        EXECUTE pg_catalog.format(
            'CREATE TABLE public.%I (LIKE public.events
                 INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
                 PRIMARY KEY (position), UNIQUE (stream_id, version))', part);
        EXECUTE pg_catalog.format('CREATE INDEX ON public.%I (tenant, position)', part);
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON public.%I
                 FOR EACH STATEMENT EXECUTE FUNCTION public.events_refuse_change()', part);
        EXECUTE pg_catalog.format(
            'ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
            part, past, past + size);
        INSERT INTO public.log_partitions VALUES (past, past + size);
        past := past + size;
    END LOOP;
    RETURN past;
END $$;

REVOKE ALL ON FUNCTION log_ensure_partitions(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_ensure_partitions(bigint) TO roentgen_server;

-- Version and positions of each stream, compared and advanced under the append lock. The table keeps (stream, version)
-- unique over all partitions and bounds a load to the partitions between first and last position. The fill factor
-- leaves room for updates within the page.
CREATE TABLE streams (
    id             uuid   PRIMARY KEY,
    type           text   NOT NULL,
    tenant         uuid   NOT NULL,
    version        bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL
) WITH (fillfactor = 80);

GRANT SELECT, INSERT, UPDATE ON streams TO roentgen_server;
