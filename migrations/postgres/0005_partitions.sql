-- The log's partitions and the function that makes them ahead of the head.
--
-- ATTACH PARTITION takes SHARE UPDATE EXCLUSIVE on the parent, which neither readers, writers nor a transaction that
-- stays open for hours stands in the way of; CREATE TABLE ... PARTITION OF would take ACCESS EXCLUSIVE and stop the
-- hospital behind one forgotten session. The function runs as the owner, so that the server needs no right to create
-- tables here. A partition has no grants: through the parent they are not asked for.
--
-- It gives up soon where somebody else alters or analyzes the parent: partitions are made long before they are needed.
--
-- Old code: there is none.

CREATE TABLE log_partitions (
    first_position bigint PRIMARY KEY,
    past_position  bigint NOT NULL UNIQUE
);

GRANT SELECT ON log_partitions TO roentgen_server;

-- Makes partitions until one holds the position `upto`. Returns the first position that none holds.
CREATE FUNCTION log_ensure_partitions(upto bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms' AS $$
DECLARE
    most CONSTANT integer := 1000;
    past bigint;
    size bigint;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('roentgen.partitions', 0));
    past := coalesce((SELECT max(past_position) FROM log_partitions), 0);
    size := coalesce(
        (SELECT convert_from(value, 'UTF8')::bigint FROM meta WHERE name = 'partition_size'),
        10000000);
    IF upto >= past + most * size THEN
        RAISE EXCEPTION 'position % is more than % partitions ahead', upto, most;
    END IF;
    WHILE past <= upto LOOP
        part := 'events_from_' || past;
        EXECUTE format(
            'CREATE TABLE public.%I (LIKE public.events
                 INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
                 PRIMARY KEY (position), UNIQUE (stream_id, version))', part);
        EXECUTE format('CREATE INDEX ON public.%I (tenant, position)', part);
        EXECUTE format(
            'CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON public.%I
                 FOR EACH STATEMENT EXECUTE FUNCTION public.events_refuse_change()', part);
        EXECUTE format(
            'ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
            part, past, past + size);
        INSERT INTO log_partitions VALUES (past, past + size);
        past := past + size;
    END LOOP;
    RETURN past;
END $$;

REVOKE ALL ON FUNCTION log_ensure_partitions(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_ensure_partitions(bigint) TO roentgen_server;
