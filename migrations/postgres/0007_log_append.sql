-- `log_append`: appends a batch in one call.
--
-- One call is one autocommit transaction, so the append lock is never held over a round trip to the client. Under the
-- lock the function reads the head, compares expected versions, keys and reservations of all appends, writes the events
-- of those that succeed set-wise, and reports the outcome of each append by itself:
--
--   kinds: 0 written, 1 version conflict, 2 reservation taken, 3 the patient has a key, 4 already written (resend)
--
-- Arrays with the same prefix have one element per expected version, reservation (claim), key or event; `..._append` is
-- the append that the element belongs to, counted from 1. `linked` are chain hashes that the client computed for the
-- head it predicts (`linked_position`, `linked_hash`, `linked_at`); they are used if the head is that one and all
-- appends succeed, and computed here otherwise. `capacity` is the first position without a partition.
--
-- Lookups are scalar subqueries: a join planned on an empty table stays slow when the table has grown. The head is
-- searched by a statement whose plan is kept; planning it in each call costs more than locking 100 partitions. Lookups
-- for kinds of elements that the batch does not have are skipped.
--
-- A patient whose registered key is neither in `patient_keys` nor has a tombstone gets no new key (SQLSTATE RG503).
--
-- Locks: none, a new function.
-- Compatibility: first release.

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
    linked_position bigint, linked_hash bytea, linked_at bigint, linked bytea[], goes_on boolean,
    OUT base bigint, OUT base_hash bytea, OUT recorded bigint, OUT kinds integer[],
    OUT positions bigint[], OUT recordeds bigint[], OUT streams uuid[], OUT versions bigint[],
    OUT request_hashes bytea[], OUT expires bigint[]
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
#variable_conflict use_column
DECLARE
    next_position bigint;
    link bytea;
    event_position bigint[] := '{}';
    event_hash bytea[] := '{}';
    are_registered boolean := false;
    held uuid;
    lost integer[] := '{}';
    found record;
BEGIN
    -- Each statement must see what the previous holder of the lock committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log_append runs at READ COMMITTED only';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('roentgen.append', 0));

    SELECT position, hash, recorded_at INTO base, base_hash, recorded FROM events
    WHERE position >= head_at_least ORDER BY position DESC LIMIT 1;
    IF base IS NULL AND head_at_least > 0 THEN
        SELECT position, hash, recorded_at INTO base, base_hash, recorded FROM events
        ORDER BY position DESC LIMIT 1;
    END IF;
    base := coalesce(base, 0);
    base_hash := coalesce(base_hash, decode(repeat('00', 32), 'hex'));
    IF octet_length(base_hash) <> 32 THEN
        RAISE EXCEPTION 'corrupt chain hash at position %', base USING ERRCODE = 'data_corrupted';
    END IF;
    recorded := greatest(now_ms, recorded);

    kinds := array_fill(0, ARRAY[appends]);
    positions := array_fill(NULL::bigint, ARRAY[appends]);
    recordeds := positions;
    versions := positions;
    expires := positions;
    streams := array_fill(NULL::uuid, ARRAY[appends]);
    request_hashes := array_fill(NULL::bytea, ARRAY[appends]);

    FOR found IN
        SELECT append, stream, actual FROM (
            SELECT append, stream, expected, n,
                   coalesce((SELECT s.version FROM streams s WHERE s.id = stream), 0) AS actual
            FROM unnest(check_append, check_stream, check_expected)
                 WITH ORDINALITY AS c(append, stream, expected, n)
        ) AS checks WHERE actual <> expected ORDER BY n
    LOOP
        CONTINUE WHEN kinds[found.append] <> 0;
        kinds[found.append] := 1;
        streams[found.append] := found.stream;
        versions[found.append] := found.actual;
    END LOOP;

    IF cardinality(key_append) > 0 THEN
        FOR found IN
            SELECT append, tenant, patient, id
            FROM unnest(key_append, key_tenant, key_patient, key_id) AS c(append, tenant, patient, id)
            WHERE (SELECT r.key_id FROM key_register r
                   WHERE r.tenant = c.tenant AND r.patient = c.patient LIMIT 1) IS NOT NULL
        LOOP
            are_registered := true;
            held := (SELECT k.key_id FROM patient_keys k
                     WHERE k.tenant = found.tenant AND k.patient = found.patient);
            IF held IS NOT NULL THEN
                IF NOT (resend AND held = found.id) THEN
                    kinds[found.append] := 3;
                END IF;
            ELSIF EXISTS (
                SELECT FROM key_register r
                WHERE r.tenant = found.tenant AND r.patient = found.patient AND r.key_id <> found.id
                  AND (SELECT t.key_id FROM key_tombstones t WHERE t.key_id = r.key_id) IS NULL
            ) THEN
                lost := array_append(lost, found.append);
            END IF;
        END LOOP;
    END IF;

    IF cardinality(claim_append) > 0 THEN
        FOR found IN
            SELECT append, key, held FROM (
                SELECT append, key, n, (SELECT t FROM claims t WHERE t.key = c.key) AS held
                FROM unnest(claim_append, claim_key) WITH ORDINALITY AS c(append, key, n)
            ) AS taken WHERE (held).key IS NOT NULL ORDER BY n
        LOOP
            IF (found.held).expires_at <= recorded THEN
                DELETE FROM claims t WHERE t.key = found.key;
            ELSIF kinds[found.append] <> 2 THEN
                kinds[found.append] := 2;
                request_hashes[found.append] := (found.held).request_hash;
                streams[found.append] := (found.held).stream_id;
                versions[found.append] := (found.held).version;
                expires[found.append] := (found.held).expires_at;
            END IF;
        END LOOP;
    END IF;

    -- An append is atomic, so its first event identifies it; without events, its reservations do, by all their fields.
    IF resend THEN
        FOR found IN
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
            CONTINUE WHEN kinds[found.append] = 4;
            kinds[found.append] := 4;
            positions[found.append] := found.stands;
            recordeds[found.append] := coalesce(found.at, recorded);
        END LOOP;
    END IF;

    IF cardinality(linked) > 0 AND linked_position = base AND linked_hash = base_hash
       AND linked_at = recorded AND 0 = ALL (kinds) THEN
        next_position := base + cardinality(linked);
        event_position := ARRAY(SELECT generate_series(base + 1, next_position));
        event_hash := linked;
    ELSE
        next_position := base;
        link := base_hash;
        FOR found IN
            SELECT append, leaf
            FROM unnest(event_append, event_leaf) WITH ORDINALITY AS c(append, leaf, n) ORDER BY n
        LOOP
            IF kinds[found.append] = 0 THEN
                next_position := next_position + 1;
                link := sha256(link || int8send(next_position) || int8send(recorded) || found.leaf);
                event_position := array_append(event_position, next_position);
                event_hash := array_append(event_hash, link);
            ELSE
                event_position := array_append(event_position, NULL);
                event_hash := array_append(event_hash, NULL);
            END IF;
        END LOOP;
    END IF;

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

        -- A plain INSERT costs two thirds of one with ON CONFLICT.
        INSERT INTO streams (id, type, tenant, version, first_position, last_position)
        SELECT stream, type, tenant, version, event_position[first], event_position[last]
        FROM unnest(check_append, check_stream, check_type, check_tenant, check_expected,
                    check_version, check_first, check_last)
             AS c(append, stream, type, tenant, expected, version, first, last)
        WHERE first IS NOT NULL AND expected = 0 AND kinds[append] = 0;

        IF goes_on THEN
            INSERT INTO streams (id, type, tenant, version, first_position, last_position)
            SELECT stream, type, tenant, version, event_position[first], event_position[last]
            FROM unnest(check_append, check_stream, check_type, check_tenant, check_expected,
                        check_version, check_first, check_last)
                 AS c(append, stream, type, tenant, expected, version, first, last)
            WHERE first IS NOT NULL AND expected > 0 AND kinds[append] = 0
            ON CONFLICT (id) DO UPDATE
            SET version = excluded.version, last_position = excluded.last_position;
        END IF;
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
        IF EXISTS (SELECT FROM unnest(lost) AS c(append) WHERE kinds[append] = 0) THEN
            RAISE EXCEPTION 'a patient''s registered key is missing' USING ERRCODE = 'RG503';
        END IF;
        -- One statement for both tables costs less than two.
        WITH new AS (
            INSERT INTO patient_keys (tenant, patient, key_id, wrapped, created_at, master_id)
            SELECT tenant, patient, id, wrapped, recorded,
                   (SELECT m.value FROM meta m WHERE m.name = 'master_key_fingerprint')
            FROM unnest(key_append, key_tenant, key_patient, key_id, key_wrapped)
                 AS c(append, tenant, patient, id, wrapped)
            WHERE kinds[append] = 0
            RETURNING tenant, patient, key_id
        )
        INSERT INTO key_register (tenant, patient, key_id)
        SELECT tenant, patient, key_id FROM new
        WHERE NOT are_registered
           OR (SELECT r.number FROM key_register r
               WHERE r.tenant = new.tenant AND r.patient = new.patient AND r.key_id = new.key_id) IS NULL;
    END IF;
END $$;

REVOKE ALL ON FUNCTION log_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_append TO roentgen_server;
