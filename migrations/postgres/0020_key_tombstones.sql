-- A key that is missing is not an erasure: only a tombstone says that a key was destroyed on purpose. Each one names the
-- key, its patient, what had wrapped it, when it was destroyed and by whom.
--
-- A key row cannot be deleted without its tombstone, by the owner neither, and a tombstone is never changed or removed.
-- `roentgen_server` reads tombstones and writes none: erasing stays the owner's.
--
-- `master_id` is the fingerprint of the key that wraps the row, so that a rotation finds the rows that it has still to
-- wrap again. Its default is the fingerprint that this database belongs to, which `log_append` and the release before
-- write with. Rows that are there already get it now.
--
-- Locks: `patient_keys` and `secrets` are closed to writers while the index and the triggers are made.
--
-- Old code: does not look here, and reads every key that is not there as erased, as before.

CREATE FUNCTION keys_master_id() RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.value FROM public.meta m WHERE m.name = 'master_key_fingerprint'
$$;

ALTER TABLE patient_keys ADD COLUMN master_id bytea DEFAULT public.keys_master_id();
ALTER TABLE secrets ADD COLUMN master_id bytea DEFAULT public.keys_master_id();

CREATE UNIQUE INDEX patient_keys_by_id ON patient_keys (key_id);

CREATE TABLE key_tombstones (
    key_id    uuid   PRIMARY KEY,
    tenant    uuid   NOT NULL,
    patient   uuid   NOT NULL,
    master_id bytea,
    erased_at bigint NOT NULL,
    erased_by text   NOT NULL
);

CREATE INDEX key_tombstones_by_patient ON key_tombstones (tenant, patient);

CREATE FUNCTION key_tombstones_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a tombstone is permanent: % on % is rejected', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER key_tombstones_are_permanent BEFORE UPDATE OR DELETE OR TRUNCATE ON key_tombstones
    FOR EACH STATEMENT EXECUTE FUNCTION key_tombstones_refuse_change();

CREATE FUNCTION patient_keys_need_tombstones() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'patient keys are destroyed one by one, each with a tombstone: TRUNCATE is rejected'
            USING ERRCODE = 'insufficient_privilege';
    ELSIF TG_OP = 'UPDATE' THEN
        IF (NEW.tenant, NEW.patient, NEW.key_id) IS DISTINCT FROM (OLD.tenant, OLD.patient, OLD.key_id) THEN
            RAISE EXCEPTION 'a patient key keeps its id and its patient'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    ELSIF NOT EXISTS (SELECT FROM public.key_tombstones t WHERE t.key_id = OLD.key_id) THEN
        RAISE EXCEPTION 'patient key % has no tombstone: DELETE is rejected', OLD.key_id
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Insert its row into key_tombstones in the same transaction.';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER patient_keys_are_not_lost BEFORE UPDATE OR DELETE ON patient_keys
    FOR EACH ROW EXECUTE FUNCTION patient_keys_need_tombstones();
CREATE TRIGGER patient_keys_are_not_truncated BEFORE TRUNCATE ON patient_keys
    FOR EACH STATEMENT EXECUTE FUNCTION patient_keys_need_tombstones();

GRANT SELECT ON key_tombstones TO roentgen_server;

REVOKE ALL ON FUNCTION keys_master_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keys_master_id() TO roentgen_server;
REVOKE ALL ON FUNCTION key_tombstones_refuse_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION patient_keys_need_tombstones() FROM PUBLIC;
