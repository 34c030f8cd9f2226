-- The one way into the log: a batch of appends as one call, which is one statement and one transaction, so that the
-- append lock is never held across a round trip to a client that may have been stopped.
--
-- Arguments are columns: checks (check_*), claims (claim_*), patient keys (key_*) and events (event_*), each row with
-- the number, from 1, of the append it belongs to. A check of a stream that the append writes says which of the batch's
-- events, counted from 1, are the stream's first and last in it; a mere assertion says null.
--   head_at_least  a position the log is known to have reached, or 0: the head is looked for from there, so that the
--                  planner leaves out the partitions before it
--   capacity       the first position that no partition is known to hold, or 0
--
-- The answer has one element an append, null where the verdict has no use for it. Verdicts, the weightier first:
--   4 written before  (resend only)  positions (of its first event; the head where it has none), recordeds
--   2 a claim is taken               request_hashes, streams, versions, expires
--   3 a patient has a key
--   1 a stream is elsewhere          streams, versions
--   0 written
--
-- Look-ups are scalar subqueries, never joins: a join that was planned while the table was empty is a sequential scan
-- until the plan is made anew. Arrays of values of varying length cost O(n) an element, so they are walked by unnest
-- and built by array_append, which works in place.
--
-- Old code: there is none.

CREATE FUNCTION log_append(
    now_ms bigint, resend boolean, appends integer, head_at_least bigint, INOUT capacity bigint,
    check_append integer[], check_stream uuid[], check_type text[], check_tenant uuid[],
    check_expected bigint[], check_version bigint[], check_first integer[], check_last integer[],
    claim_append integer[], claim_key bytea[], claim_request bytea[], claim_stream uuid[],
    claim_version bigint[], claim_expires bigint[],
    key_append integer[], key_tenant uuid[], key_patient uuid[], key_id uuid[], key_wrapped bytea[],
    event_append integer[], event_tenant uuid[], event_stream_type text[], event_stream uuid[],
    event_version bigint[], event_ids uuid[], event_type text[], event_schema integer[],
    event_payload text[], event_sealed bytea[], event_metadata text[], event_leaf bytea[],
    OUT base bigint, OUT base_hash bytea, OUT recorded bigint, OUT kinds integer[],
    OUT positions bigint[], OUT recordeds bigint[], OUT streams uuid[], OUT versions bigint[],
    OUT request_hashes bytea[], OUT expires bigint[]
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
#variable_conflict use_column
DECLARE
    head CONSTANT text := 'SELECT position, hash, recorded_at FROM events
                           WHERE position >= $1 ORDER BY position DESC LIMIT 1';
    next_position bigint;
    link bytea;
    event_position bigint[] := '{}';
    event_hash bytea[] := '{}';
    it record;
BEGIN
    -- Each statement must see what the last holder of the lock committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log_append runs at READ COMMITTED only';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('roentgen.append', 0));

    EXECUTE head INTO base, base_hash, recorded USING head_at_least;
    IF base IS NULL AND head_at_least > 0 THEN
        EXECUTE head INTO base, base_hash, recorded USING 0::bigint;
    END IF;
    base := coalesce(base, 0);
    base_hash := coalesce(base_hash, decode(repeat('00', 32), 'hex'));
    IF octet_length(base_hash) <> 32 THEN
        RAISE EXCEPTION 'the link at position % is damaged', base USING ERRCODE = 'data_corrupted';
    END IF;
    recorded := greatest(now_ms, recorded);

    kinds := array_fill(0, ARRAY[appends]);
    positions := array_fill(NULL::bigint, ARRAY[appends]);
    recordeds := positions;
    versions := positions;
    expires := positions;
    streams := array_fill(NULL::uuid, ARRAY[appends]);
    request_hashes := array_fill(NULL::bytea, ARRAY[appends]);

    FOR it IN
        SELECT append, stream, actual FROM (
            SELECT append, stream, expected, n,
                   coalesce((SELECT s.version FROM streams s WHERE s.id = stream), 0) AS actual
            FROM unnest(check_append, check_stream, check_expected)
                 WITH ORDINALITY AS c(append, stream, expected, n)
        ) AS checks WHERE actual <> expected ORDER BY n
    LOOP
        CONTINUE WHEN kinds[it.append] <> 0;
        kinds[it.append] := 1;
        streams[it.append] := it.stream;
        versions[it.append] := it.actual;
    END LOOP;

    FOR it IN
        SELECT append FROM (
            SELECT append, id, (SELECT k.key_id FROM patient_keys k
                                WHERE k.tenant = c.tenant AND k.patient = c.patient) AS held
            FROM unnest(key_append, key_tenant, key_patient, key_id)
                 AS c(append, tenant, patient, id)
        ) AS keys WHERE held IS NOT NULL AND NOT (resend AND held = id)
    LOOP
        kinds[it.append] := 3;
    END LOOP;

    FOR it IN
        SELECT append, key, held FROM (
            SELECT append, key, n, (SELECT t FROM claims t WHERE t.key = c.key) AS held
            FROM unnest(claim_append, claim_key) WITH ORDINALITY AS c(append, key, n)
        ) AS taken WHERE (held).key IS NOT NULL ORDER BY n
    LOOP
        IF (it.held).expires_at <= recorded THEN
            DELETE FROM claims t WHERE t.key = it.key;
        ELSIF kinds[it.append] <> 2 THEN
            kinds[it.append] := 2;
            request_hashes[it.append] := (it.held).request_hash;
            streams[it.append] := (it.held).stream_id;
            versions[it.append] := (it.held).version;
            expires[it.append] := (it.held).expires_at;
        END IF;
    END LOOP;

    -- An append is written as a whole, so its first event tells; where it has none, its claims do, to the last member.
    IF resend THEN
        FOR it IN
            SELECT append, stands, (SELECT e.recorded_at FROM events e WHERE e.position = stands) AS at
            FROM (
                SELECT append, n, (
                    SELECT e.position FROM events e
                    WHERE e.stream_id = c.stream AND e.version = c.version AND e.event_id = c.id
                      AND e.position >= (SELECT s.first_position FROM streams s WHERE s.id = c.stream)
                      AND e.position <= (SELECT s.last_position FROM streams s WHERE s.id = c.stream)
                    ORDER BY e.version LIMIT 1
                ) AS stands
                FROM unnest(event_append, event_stream, event_version, event_ids)
                     WITH ORDINALITY AS c(append, stream, version, id, n)
                UNION ALL
                SELECT append, n, base
                FROM unnest(claim_append, claim_key, claim_request, claim_stream, claim_version,
                            claim_expires)
                     WITH ORDINALITY AS c(append, key, request, stream, version, expires, n)
                WHERE append <> ALL (event_append)
                  AND (SELECT t.request_hash = c.request AND t.stream_id = c.stream
                              AND t.version = c.version AND t.expires_at = c.expires
                       FROM claims t WHERE t.key = c.key)
            ) AS written WHERE stands IS NOT NULL ORDER BY n
        LOOP
            CONTINUE WHEN kinds[it.append] = 4;
            kinds[it.append] := 4;
            positions[it.append] := it.stands;
            recordeds[it.append] := coalesce(it.at, recorded);
        END LOOP;
    END IF;

    next_position := base;
    link := base_hash;
    FOR it IN
        SELECT append, leaf
        FROM unnest(event_append, event_leaf) WITH ORDINALITY AS c(append, leaf, n) ORDER BY n
    LOOP
        IF kinds[it.append] = 0 THEN
            next_position := next_position + 1;
            link := sha256(link || int8send(next_position) || int8send(recorded) || it.leaf);
            event_position := array_append(event_position, next_position);
            event_hash := array_append(event_hash, link);
        ELSE
            event_position := array_append(event_position, NULL);
            event_hash := array_append(event_hash, NULL);
        END IF;
    END LOOP;

    IF next_position > base THEN
        IF next_position >= capacity THEN
            capacity := log_ensure_partitions(next_position);
        END IF;
        INSERT INTO events (position, tenant, stream_type, stream_id, version, event_id, type,
                            schema_version, recorded_at, payload, sealed, metadata, leaf, hash)
        SELECT position, tenant, stream_type, stream, version, id, type,
               schema_version, recorded, payload::json, sealed, metadata::json, leaf, hash
        FROM unnest(event_position, event_tenant, event_stream_type, event_stream, event_version,
                    event_ids, event_type, event_schema, event_payload, event_sealed,
                    event_metadata, event_leaf, event_hash)
             AS c(position, tenant, stream_type, stream, version,
                  id, type, schema_version, payload, sealed, metadata, leaf, hash)
        WHERE position IS NOT NULL;

        -- A plain INSERT costs two thirds of one that is ready for a conflict.
        INSERT INTO streams (id, type, tenant, version, first_position, last_position)
        SELECT stream, type, tenant, version, event_position[first], event_position[last]
        FROM unnest(check_append, check_stream, check_type, check_tenant, check_expected,
                    check_version, check_first, check_last)
             AS c(append, stream, type, tenant, expected, version, first, last)
        WHERE first IS NOT NULL AND expected = 0 AND kinds[append] = 0;

        INSERT INTO streams (id, type, tenant, version, first_position, last_position)
        SELECT stream, type, tenant, version, event_position[first], event_position[last]
        FROM unnest(check_append, check_stream, check_type, check_tenant, check_expected,
                    check_version, check_first, check_last)
             AS c(append, stream, type, tenant, expected, version, first, last)
        WHERE first IS NOT NULL AND expected > 0 AND kinds[append] = 0
        ON CONFLICT (id) DO UPDATE
        SET version = excluded.version, last_position = excluded.last_position;
    END IF;

    IF cardinality(claim_append) > 0 THEN
        INSERT INTO claims (key, request_hash, stream_id, version, expires_at)
        SELECT key, request, stream, version, at
        FROM unnest(claim_append, claim_key, claim_request, claim_stream, claim_version,
                    claim_expires)
             AS c(append, key, request, stream, version, at)
        WHERE kinds[append] = 0;
    END IF;

    IF cardinality(key_append) > 0 THEN
        INSERT INTO patient_keys (tenant, patient, key_id, wrapped, created_at)
        SELECT tenant, patient, id, wrapped, recorded
        FROM unnest(key_append, key_tenant, key_patient, key_id, key_wrapped)
             AS c(append, tenant, patient, id, wrapped)
        WHERE kinds[append] = 0
        ON CONFLICT (tenant, patient) DO NOTHING;
    END IF;
END $$;

REVOKE ALL ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO roentgen_server;
