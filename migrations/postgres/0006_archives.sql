-- Archiving: old partitions leave the log once they are stored completely in a file (docs/adr/0012).
--
-- The archived part is always the beginning of the log: the positions below one boundary, the greatest `past_position`
-- in `log_archives`. One partition, `events_kept_to_<boundary>`, replaces it and contains the events of the streams that
-- are still in use, each stream completely or not at all. The archived partitions move unchanged to the schema
-- `archived`.
--
-- Locks: none, new objects. `log_archive` itself takes the append lock and ACCESS EXCLUSIVE on `events`, and gives up
-- after 500 ms.
-- Compatibility: first release.

CREATE TABLE log_archives (
    first_position bigint PRIMARY KEY,
    past_position  bigint NOT NULL UNIQUE,
    -- The chain hash at past_position - 1, from which the chain continues.
    last_hash      bytea  NOT NULL,
    file_name      text   NOT NULL,
    file_sha256    bytea  NOT NULL,
    archived_at    bigint NOT NULL
);

CREATE TRIGGER log_archives_are_append_only
    BEFORE UPDATE OR DELETE ON log_archives
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change();

GRANT SELECT ON log_archives TO roentgen_server;

CREATE SCHEMA archived;

-- A stream is archived if its last event is below the boundary and not in the log. A command that loaded the stream just
-- before would append to it and leave a stream without its first events. `log_archive` creates the trigger with the
-- boundary in its condition, so it costs newer streams one comparison.
CREATE FUNCTION public.streams_refuse_archived() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.events e WHERE e.position = OLD.last_position) THEN
        RAISE EXCEPTION 'stream % is archived', OLD.id
            USING ERRCODE = 'RG410', DETAIL = (SELECT pg_catalog.max(a.past_position) FROM public.log_archives a);
    END IF;
    RETURN NEW;
END $$;

REVOKE ALL ON FUNCTION streams_refuse_archived() FROM PUBLIC;

-- Readers of the log must have passed the boundary: their next position would be gone.
CREATE FUNCTION public.log_refuse_behind(past bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    behind text;
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.format('%s (at %s)', name, position), ', ' ORDER BY name) INTO behind FROM (
        SELECT projection, position FROM read.checkpoints
        UNION ALL SELECT name, position FROM read.generations WHERE state IN ('live', 'filling', 'indexing', 'verifying', 'joining')
        UNION ALL SELECT name, position FROM public.relays
        -- A retry folds it from its first event.
        UNION ALL SELECT pg_catalog.format('parked stream %s of %s', stream_id, model), position FROM read.parked
    ) AS readers(name, position) WHERE position < past;
    IF behind IS NOT NULL THEN
        RAISE EXCEPTION 'readers have not passed position % yet: %', past, behind;
    END IF;
END $$;

REVOKE ALL ON FUNCTION log_refuse_behind(bigint) FROM PUBLIC;

-- Archives the oldest partition, [first, past), in one transaction. Copying the retained events takes long and is done
-- before the append lock is taken; under the lock only the streams that changed meanwhile are copied again. Returns the
-- number of events below the boundary that are retained.
CREATE FUNCTION public.log_archive(
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
        RAISE EXCEPTION 'oldest partition of the log is not % to %', first, past;
    END IF;
    IF NOT EXISTS (SELECT FROM public.events WHERE position = past) THEN
        RAISE EXCEPTION 'log has not reached position %', past;
    END IF;
    PERFORM public.log_refuse_behind(past);
    IF (SELECT hash FROM public.events WHERE position = past - 1) IS DISTINCT FROM last_link THEN
        RAISE EXCEPTION 'hash at position % does not match', past - 1;
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
        -- It is a copy: its events are archived.
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

REVOKE ALL ON FUNCTION log_archive(bigint, bigint, bytea, text, bytea, text[], bigint) FROM PUBLIC;
