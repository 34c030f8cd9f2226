-- Old partitions of the log leave it, once they stand whole in a file (docs/adr/0012).
--
-- What is archived is always the log's beginning: the positions below one boundary, the greatest `past_position` here.
-- In its place stands one partition, `events_kept_to_<boundary>`, with the events of the streams that are still in use:
-- a stream is there whole or not at all. The partitions themselves move to the schema `archived` as they are.
--
-- Old code sees: fewer partitions, and takes what is archived for missing. It must not run beside an archived log; as
-- long as nothing is archived it sees nothing.

CREATE TABLE log_archives (
    first_position bigint PRIMARY KEY,
    past_position  bigint NOT NULL UNIQUE,
    -- The link at past_position - 1, where the chain goes on.
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

-- A stream is archived where its last event is below the boundary and not in the log. A command that loaded it just
-- before would write to it now, and leave a stream without its beginning. The trigger is made with the boundary in its
-- condition, so that it costs the streams above it a comparison and nothing else.
CREATE FUNCTION streams_refuse_archived() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM events WHERE position = OLD.last_position) THEN
        RAISE EXCEPTION 'stream % is archived', OLD.id
            USING ERRCODE = 'RG410', DETAIL = (SELECT max(past_position) FROM log_archives);
    END IF;
    RETURN NEW;
END $$;

-- What reads from the log's beginning on must have come past the boundary: it would find its own place gone.
CREATE FUNCTION log_refuse_behind(past bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    behind text;
BEGIN
    SELECT string_agg(format('%s (at %s)', name, position), ', ' ORDER BY name) INTO behind FROM (
        SELECT projection, position FROM read.checkpoints
        UNION ALL SELECT name, position FROM read.generations WHERE state IN ('live', 'filling', 'indexing', 'verifying', 'joining')
        UNION ALL SELECT name, position FROM relays
        -- It is folded from its beginning when it is tried again.
        UNION ALL SELECT format('parked stream %s of %s', stream_id, model), position FROM read.parked
    ) AS readers(name, position) WHERE position < past;
    IF behind IS NOT NULL THEN
        RAISE EXCEPTION 'what reads the log is not past position % yet: %', past, behind;
    END IF;
END $$;

-- Archives the partition [first, past), which is the log's oldest, as one transaction. What takes long, the copy of the
-- kept events, is done before the append lock is taken; under it only that is looked for again which changed meanwhile.
-- It gives up soon where somebody holds the log. Returns how many events below the boundary are kept.
CREATE FUNCTION log_archive(
    first bigint, past bigint, last_link bytea, name text, sha256 bytea, kept_types text[], now_ms bigint
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms' AS $$
DECLARE
    part text := 'events_from_' || first;
    kept text := 'events_kept_to_' || past;
    before text := 'events_kept_to_' || first;
    copy text;
    many bigint;
    seen bigint;
BEGIN
    IF first <> coalesce((SELECT max(past_position) FROM log_archives), 0)
       OR NOT EXISTS (SELECT FROM log_partitions WHERE first_position = first AND past_position = past) THEN
        RAISE EXCEPTION 'the log''s oldest partition is not from % to %', first, past;
    END IF;
    IF NOT EXISTS (SELECT FROM events WHERE position = past) THEN
        RAISE EXCEPTION 'the log has not passed position %', past;
    END IF;
    PERFORM log_refuse_behind(past);
    IF (SELECT hash FROM events WHERE position = past - 1) IS DISTINCT FROM last_link THEN
        RAISE EXCEPTION 'the link at position % is another', past - 1;
    END IF;

    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.events INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
             PRIMARY KEY (position), UNIQUE (stream_id, version),
             CONSTRAINT kept_range CHECK (position >= 0 AND position < %s))', kept, past);
    EXECUTE format('CREATE INDEX ON public.%I (tenant, position)', kept);
    EXECUTE format(
        'CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON public.%I
             FOR EACH STATEMENT EXECUTE FUNCTION public.events_refuse_change()', kept);
    copy := format(
        'INSERT INTO public.%I SELECT e.* FROM public.events e JOIN public.streams s ON s.id = e.stream_id
         WHERE e.position < $1 AND (s.last_position >= $1 OR s.type = ANY ($2))', kept);
    seen := (SELECT max(position) FROM events);
    EXECUTE copy USING past, kept_types;

    -- In the order in which log_append takes them.
    PERFORM pg_advisory_xact_lock(hashtextextended('roentgen.append', 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('roentgen.partitions', 0));
    LOCK TABLE ONLY public.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'INSERT INTO public.%1$I SELECT e.* FROM public.events e
         WHERE e.stream_id IN (SELECT n.stream_id FROM public.events n WHERE n.position > $2) AND e.position < $1
           AND NOT EXISTS (SELECT FROM public.%1$I k WHERE k.position = e.position)', kept) USING past, seen;

    EXECUTE format('ALTER TABLE public.events DETACH PARTITION public.%I', part);
    -- DETACH takes away the row trigger that came from the parent.
    EXECUTE format(
        'CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON public.%I
             FOR EACH ROW EXECUTE FUNCTION public.events_refuse_change()', part);
    EXECUTE format('ALTER TABLE public.%I SET SCHEMA archived', part);
    IF first > 0 THEN
        -- A copy: what it was taken from is archived.
        EXECUTE format('ALTER TABLE public.events DETACH PARTITION public.%I', before);
        EXECUTE format('DROP TABLE public.%I', before);
    END IF;
    EXECUTE format('ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (0) TO (%s)', kept, past);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER streams_are_not_archived BEFORE UPDATE ON public.streams
             FOR EACH ROW WHEN (OLD.last_position < %s) EXECUTE FUNCTION public.streams_refuse_archived()', past);
    INSERT INTO log_archives VALUES (first, past, last_link, name, sha256, now_ms);
    EXECUTE format('SELECT count(*) FROM public.%I', kept) INTO many;
    RETURN many;
END $$;

REVOKE ALL ON FUNCTION log_archive(bigint, bigint, bytea, text, bytea, text[], bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION streams_refuse_archived() FROM PUBLIC;
REVOKE ALL ON FUNCTION log_refuse_behind(bigint) FROM PUBLIC;
