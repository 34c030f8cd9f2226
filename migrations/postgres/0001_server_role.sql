-- The server works as `roentgen_server`, which owns no table and can read and add events, nothing else. Migrations run
-- as the role of the database's URL, the owner, who must be able to create a role once per cluster, or find it there.
--
-- Roles belong to the cluster, not to the database: several databases may migrate at the same moment. Whoever comes
-- second finds the role made, or the catalog's row just updated, and goes on.
--
-- Old code: there is none.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'roentgen_server') THEN
        CREATE ROLE roentgen_server NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- The owner becomes the server at connect, which a member can. A superuser counts as a member.
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

GRANT USAGE ON SCHEMA public TO roentgen_server;
