-- Patient keys, their tombstones and their register, and the secrets of the catalog.
--
-- Each patient's PHI is encrypted with one key, which is stored here, wrapped by the master key. Deleting the row erases
-- the patient's PHI everywhere; only the owner can. A missing key is not an erasure: a key row cannot be deleted without
-- a tombstone that names the key, its patient, the master key, the time and the person, and a tombstone is permanent.
-- `roentgen_server` adds keys and reads tombstones.
--
-- `key_register` lists every key that events were encrypted with, in order. It distinguishes a patient whose key was
-- lost from a patient who never had one: nothing is encrypted with a second key, and a server that starts compares the
-- last entries with the keys. `log_append` adds the entries.
--
-- `master_id` is the fingerprint of the master key that wraps the row: a rotation finds the rows that it has not
-- wrapped yet.
--
-- Locks: none, new tables.
-- Compatibility: first release.

CREATE TABLE patient_keys (
    tenant     uuid   NOT NULL,
    patient    uuid   NOT NULL,
    key_id     uuid   NOT NULL,
    wrapped    bytea  NOT NULL,
    created_at bigint NOT NULL,
    master_id  bytea  NOT NULL,
    PRIMARY KEY (tenant, patient)
);

CREATE UNIQUE INDEX patient_keys_by_id ON patient_keys (key_id);

GRANT SELECT, INSERT ON patient_keys TO roentgen_server;

CREATE TABLE key_tombstones (
    key_id    uuid   PRIMARY KEY,
    tenant    uuid   NOT NULL,
    patient   uuid   NOT NULL,
    master_id bytea,
    erased_at bigint NOT NULL,
    erased_by text   NOT NULL
);

CREATE INDEX key_tombstones_by_patient ON key_tombstones (tenant, patient);

GRANT SELECT ON key_tombstones TO roentgen_server;

CREATE FUNCTION key_tombstones_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a tombstone is permanent: % on % is rejected', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

REVOKE ALL ON FUNCTION key_tombstones_refuse_change() FROM PUBLIC;

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

REVOKE ALL ON FUNCTION patient_keys_need_tombstones() FROM PUBLIC;

CREATE TRIGGER patient_keys_are_not_lost BEFORE UPDATE OR DELETE ON patient_keys
    FOR EACH ROW EXECUTE FUNCTION patient_keys_need_tombstones();
CREATE TRIGGER patient_keys_are_not_truncated BEFORE TRUNCATE ON patient_keys
    FOR EACH STATEMENT EXECUTE FUNCTION patient_keys_need_tombstones();

CREATE TABLE key_register (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  uuid NOT NULL,
    patient uuid NOT NULL,
    key_id  uuid NOT NULL,
    UNIQUE (tenant, patient, key_id)
);

GRANT SELECT, INSERT ON key_register TO roentgen_server;

CREATE FUNCTION key_register_refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the key register is append-only: % is rejected', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

REVOKE ALL ON FUNCTION key_register_refuse_change() FROM PUBLIC;

CREATE TRIGGER key_register_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON key_register
    FOR EACH STATEMENT EXECUTE FUNCTION key_register_refuse_change();

-- Passwords and tokens of PACS endpoints and AI models, encrypted with the master key; tenant and id are associated
-- data. Events refer to a secret by its id; its bytes are stored here only. A changed secret is a new row, so the server
-- only adds and reads.
CREATE TABLE secrets (
    tenant     uuid   NOT NULL,
    id         uuid   NOT NULL,
    sealed     bytea  NOT NULL,
    created_at bigint NOT NULL,
    master_id  bytea,
    PRIMARY KEY (tenant, id)
);

GRANT SELECT, INSERT ON secrets TO roentgen_server;
