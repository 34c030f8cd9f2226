-- The log's own list of the keys that its events are sealed under. With it a patient whose key was lost is told from a
-- patient who never had one, without a look at any event: nothing is sealed under a second key, and a server that starts
-- compares the last entries with the keys.
--
-- Rows are added by a trigger, in the transaction that adds the key, so that `log_append` stays as it is. The trigger
-- rejects a key for a patient whose registered key is neither there nor has a tombstone (SQLSTATE RG503).
--
-- Scalar subqueries, since a join may be planned badly.
--
-- Locks: `patient_keys` is closed to writers while the rows that are there are registered.
--
-- Old code: registers its keys without knowing it.

CREATE TABLE key_register (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  uuid NOT NULL,
    patient uuid NOT NULL,
    key_id  uuid NOT NULL,
    UNIQUE (tenant, patient, key_id)
);

CREATE FUNCTION key_register_add() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM fresh f WHERE (
            SELECT r.key_id FROM public.key_register r
            WHERE r.tenant = f.tenant AND r.patient = f.patient AND r.key_id <> f.key_id
              AND (SELECT t.key_id FROM public.key_tombstones t WHERE t.key_id = r.key_id) IS NULL
            LIMIT 1
        ) IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a patient''s registered key is missing' USING ERRCODE = 'RG503';
    END IF;
    INSERT INTO public.key_register (tenant, patient, key_id)
    SELECT f.tenant, f.patient, f.key_id FROM fresh f
    ON CONFLICT (tenant, patient, key_id) DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER patient_keys_are_registered AFTER INSERT ON patient_keys
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION key_register_add();

INSERT INTO key_register (tenant, patient, key_id)
SELECT k.tenant, k.patient, k.key_id FROM patient_keys k ORDER BY k.created_at, k.key_id;

CREATE FUNCTION key_register_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the key register is append-only: % is rejected', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER key_register_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON key_register
    FOR EACH STATEMENT EXECUTE FUNCTION key_register_refuse_change();

GRANT SELECT, INSERT ON key_register TO roentgen_server;

REVOKE ALL ON FUNCTION key_register_add() FROM PUBLIC;
REVOKE ALL ON FUNCTION key_register_refuse_change() FROM PUBLIC;
