-- `log_append` lists a batch's new keys itself. It is 0013's function for the rest, but for these:
--
-- - A new patient's key cost two statements in a trigger, with a look-up for each key in `key_register` and one in
--   `patient_keys`, and a look-up of the master key's fingerprint for each row. All that took a fifth of a call. Every key
--   is in the register, so that one look there tells a new patient from all others.
-- - The head is looked for by a statement that keeps its plan. Planning it in each call cost more than the locks on 100
--   partitions, which it takes now, do.
-- - What the batch has none of is not looked for.
--
-- A key that comes without `master_id` is refused: whoever wrote it did not know that nobody else registers it. That is
-- a call of the earlier function which waited while this was committed; it fails without effect and is made again.
--
-- The function without links, of the releases before 0013, goes.
--
-- Lock: ACCESS EXCLUSIVE on `patient_keys` for an instant. Readers queue behind it, so it is waited for briefly: beside a
-- dump of the database this fails, and is applied again later.
-- Compatibility: the arguments and the result are 0013's, so the previous release calls it as before.

CREATE OR REPLACE FUNCTION log_append(
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
    it record;
BEGIN
    -- Each statement must see what the last holder of the lock committed.
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

    IF cardinality(key_append) > 0 THEN
        FOR it IN
            SELECT append, tenant, patient, id
            FROM unnest(key_append, key_tenant, key_patient, key_id) AS c(append, tenant, patient, id)
            WHERE (SELECT r.key_id FROM key_register r
                   WHERE r.tenant = c.tenant AND r.patient = c.patient LIMIT 1) IS NOT NULL
        LOOP
            are_registered := true;
            held := (SELECT k.key_id FROM patient_keys k
                     WHERE k.tenant = it.tenant AND k.patient = it.patient);
            IF held IS NOT NULL THEN
                IF NOT (resend AND held = it.id) THEN
                    kinds[it.append] := 3;
                END IF;
            ELSIF EXISTS (
                SELECT FROM key_register r
                WHERE r.tenant = it.tenant AND r.patient = it.patient AND r.key_id <> it.id
                  AND (SELECT t.key_id FROM key_tombstones t WHERE t.key_id = r.key_id) IS NULL
            ) THEN
                lost := array_append(lost, it.append);
            END IF;
        END LOOP;
    END IF;

    IF cardinality(claim_append) > 0 THEN
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
    END IF;

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

    IF cardinality(linked) > 0 AND linked_position = base AND linked_hash = base_hash
       AND linked_at = recorded AND 0 = ALL (kinds) THEN
        next_position := base + cardinality(linked);
        event_position := ARRAY(SELECT generate_series(base + 1, next_position));
        event_hash := linked;
    ELSE
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

        -- A plain INSERT costs two thirds of one that is ready for a conflict.
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

SET LOCAL lock_timeout = '500ms';
DROP TRIGGER patient_keys_are_registered ON patient_keys;
DROP FUNCTION key_register_add();

CREATE FUNCTION keys_need_a_register() RETURNS bytea
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a patient key without its master_id is rejected: nothing has listed it in key_register'
        USING ERRCODE = 'serialization_failure', HINT = 'Call log_append again, or name master_id and list the key.';
END $$;

ALTER TABLE patient_keys ALTER COLUMN master_id SET DEFAULT public.keys_need_a_register();

REVOKE ALL ON FUNCTION keys_need_a_register() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keys_need_a_register() TO roentgen_server;

DROP FUNCTION log_append(
    bigint, boolean, integer, bigint, bigint,
    integer[], uuid[], text[], uuid[], bigint[], bigint[], integer[], integer[],
    integer[], bytea[], bytea[], uuid[], bigint[], bigint[],
    integer[], uuid[], uuid[], uuid[], bytea[],
    integer[], uuid[], text[], uuid[], bigint[], uuid[], text[], integer[], text[], bytea[], text[], bytea[]
);
