-- The role `roentgen_server`, as which the server works, and the table `meta`.
--
-- `roentgen_server` owns no table: it can read and add events and write read models, nothing else. Migrations run as the
-- role of the database's URL, the owner, who must be able to create a role once per cluster, or find it there.
--
-- `meta` holds facts about the database by name: the fingerprints of the master key and of the event key, and
-- `served_with_tokens`, each of which the server inserts once; and `partition_size`, the number of events of a partition
-- as decimal text, which only the owner may set (default 10,000,000).
--
-- Locks: rows of the cluster's role catalog. Several databases of a cluster may migrate at the same time: one of them
-- creates the role, the others find it.
-- Compatibility: first release.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'roentgen_server') THEN
        CREATE ROLE roentgen_server NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- The owner becomes the server at connect, which requires membership. A superuser counts as a member.
DO $$
BEGIN
    FOR attempt IN 1..20 LOOP
        EXIT WHEN pg_has_role(current_user, 'roentgen_server', 'MEMBER');
        BEGIN
            EXECUTE format('GRANT roentgen_server TO %I', current_user);
        EXCEPTION
            -- "tuple concurrently updated" has no condition of its own.
            WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
        END;
    END LOOP;
END $$;

-- Up to PostgreSQL 14, and on clusters upgraded from there, everybody may create objects in `public`. A function or
-- operator created there could be chosen over the one of pg_catalog and run with the owner's rights. An owner of the
-- database who does not own the schema gets a warning here; `roentgen serve` then names the statement to run.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO roentgen_server;

CREATE TABLE meta (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

ALTER TABLE meta ENABLE ROW LEVEL SECURITY;

CREATE POLICY meta_is_read ON meta FOR SELECT TO roentgen_server USING (true);
CREATE POLICY meta_takes_facts ON meta FOR INSERT TO roentgen_server
    WITH CHECK (name IN ('master_key_fingerprint', 'event_key_fingerprint', 'served_with_tokens'));

GRANT SELECT, INSERT ON meta TO roentgen_server;
