-- Functions that run with the owner's rights resolve names in pg_catalog and nowhere else.
--
-- A function, operator or cast in `public` that fits an argument better than the one in pg_catalog is chosen even where
-- pg_catalog comes first in the search path. Up to PostgreSQL 14, and on clusters upgraded from there, everybody may
-- create one: `roentgen_server` could run its own code as the owner. With `public` out of the path, and each table
-- named with its schema, there is nothing to choose from.
--
-- Partitions are made close ahead of the head only: the server may call the function, but not fill the disk with it.
--
-- Lock: none that a writer waits for. CREATE OR REPLACE replaces the functions for calls that begin after the commit.
-- Compatibility: names, arguments and results are what they were, so the previous release calls them as before.

-- An owner of the database that does not own the schema (PostgreSQL 14) gets a warning here, and `serve` names the
-- statement that is left to run.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

ALTER FUNCTION public.events_refuse_change() SET search_path = pg_catalog, pg_temp;

-- Makes partitions until one holds the position `upto`. Returns the first position that none holds.
CREATE OR REPLACE FUNCTION public.log_ensure_partitions(upto bigint) RETURNS bigint
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

CREATE OR REPLACE FUNCTION public.streams_refuse_archived() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.events e WHERE e.position = OLD.last_position) THEN
        RAISE EXCEPTION 'stream % is archived', OLD.id
            USING ERRCODE = 'RG410', DETAIL = (SELECT pg_catalog.max(a.past_position) FROM public.log_archives a);
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION public.log_refuse_behind(past bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    behind text;
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.format('%s (at %s)', name, position), ', ' ORDER BY name) INTO behind FROM (
        SELECT projection, position FROM read.checkpoints
        UNION ALL SELECT name, position FROM read.generations WHERE state IN ('live', 'filling', 'indexing', 'verifying', 'joining')
        UNION ALL SELECT name, position FROM public.relays
        -- It is folded from its beginning when it is tried again.
        UNION ALL SELECT pg_catalog.format('parked stream %s of %s', stream_id, model), position FROM read.parked
    ) AS readers(name, position) WHERE position < past;
    IF behind IS NOT NULL THEN
        RAISE EXCEPTION 'what reads the log is not past position % yet: %', past, behind;
    END IF;
END $$;

-- Archives the partition [first, past), which is the log's oldest, as one transaction. What takes long, the copy of the
-- kept events, is done before the append lock is taken; under it only that is looked for again which changed meanwhile.
-- It gives up soon where somebody holds the log. Returns how many events below the boundary are kept.
CREATE OR REPLACE FUNCTION public.log_archive(
    first bigint, past bigint, last_link bytea, name text, sha256 bytea, kept_types text[], now_ms bigint
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms' AS $$
DECLARE
    part text := pg_catalog.format('events_from_%s', first);
    kept text := pg_catalog.format('events_kept_to_%s', past);
    before text := pg_catalog.format('events_kept_to_%s', first);
    copy text;
    many bigint;
    seen bigint;
BEGIN
    IF first <> coalesce((SELECT pg_catalog.max(past_position) FROM public.log_archives), 0)
       OR NOT EXISTS (SELECT FROM public.log_partitions WHERE first_position = first AND past_position = past) THEN
        RAISE EXCEPTION 'the log''s oldest partition is not from % to %', first, past;
    END IF;
    IF NOT EXISTS (SELECT FROM public.events WHERE position = past) THEN
        RAISE EXCEPTION 'the log has not passed position %', past;
    END IF;
    PERFORM public.log_refuse_behind(past);
    IF (SELECT hash FROM public.events WHERE position = past - 1) IS DISTINCT FROM last_link THEN
        RAISE EXCEPTION 'the link at position % is another', past - 1;
    END IF;

    EXECUTE pg_catalog.format(
        'CREATE TABLE public.%I (LIKE public.events INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
             PRIMARY KEY (position), UNIQUE (stream_id, version),
             CONSTRAINT kept_range CHECK (position >= 0 AND position < %s))', kept, past);
    EXECUTE pg_catalog.format('CREATE INDEX ON public.%I (tenant, position)', kept);
    EXECUTE pg_catalog.format(
        'CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON public.%I
             FOR EACH STATEMENT EXECUTE FUNCTION public.events_refuse_change()', kept);
    copy := pg_catalog.format(
        'INSERT INTO public.%I SELECT e.* FROM public.events e JOIN public.streams s ON s.id = e.stream_id
         WHERE e.position < $1 AND (s.last_position >= $1 OR s.type = ANY ($2))', kept);
    seen := (SELECT pg_catalog.max(position) FROM public.events);
    EXECUTE copy USING past, kept_types;

    -- In the order in which log_append takes them.
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('roentgen.append', 0));
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('roentgen.partitions', 0));
    LOCK TABLE ONLY public.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE pg_catalog.format(
        'INSERT INTO public.%1$I SELECT e.* FROM public.events e
         WHERE e.stream_id IN (SELECT n.stream_id FROM public.events n WHERE n.position > $2) AND e.position < $1
           AND NOT EXISTS (SELECT FROM public.%1$I k WHERE k.position = e.position)', kept) USING past, seen;

    EXECUTE pg_catalog.format('ALTER TABLE public.events DETACH PARTITION public.%I', part);
    -- DETACH takes away the row trigger that came from the parent.
    EXECUTE pg_catalog.format(
        'CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON public.%I
             FOR EACH ROW EXECUTE FUNCTION public.events_refuse_change()', part);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I SET SCHEMA archived', part);
    IF first > 0 THEN
        -- A copy: what it was taken from is archived.
        EXECUTE pg_catalog.format('ALTER TABLE public.events DETACH PARTITION public.%I', before);
        EXECUTE pg_catalog.format('DROP TABLE public.%I', before);
    END IF;
    EXECUTE pg_catalog.format(
        'ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (0) TO (%s)', kept, past);
    EXECUTE pg_catalog.format(
        'CREATE OR REPLACE TRIGGER streams_are_not_archived BEFORE UPDATE ON public.streams
             FOR EACH ROW WHEN (OLD.last_position < %s) EXECUTE FUNCTION public.streams_refuse_archived()', past);
    INSERT INTO public.log_archives VALUES (first, past, last_link, name, sha256, now_ms);
    EXECUTE pg_catalog.format('SELECT count(*) FROM public.%I', kept) INTO many;
    RETURN many;
END $$;
