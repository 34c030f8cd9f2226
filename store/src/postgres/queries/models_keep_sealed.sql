-- What is sealed is ciphertext, which nothing makes shorter: it is stored as it is, instead of after an attempt that took a
-- third of the database's time where rows had 60 KB of it. CREATE TABLE can say so from PostgreSQL 16 on only. Tables
-- that were made by an earlier release are changed once; what stands in them stays as it is until it is written again.
--
-- Lock: ACCESS EXCLUSIVE on a table that is changed, for an instant. Reads queue behind it, so it is waited for briefly; a
-- table that somebody reads at length is changed by the next server that starts.
DO $$
DECLARE
    model regclass;
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR model IN
        SELECT attrelid::regclass
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'read'::regnamespace AND relkind = 'r'
          AND attname = 'sealed' AND attstorage <> 'e' AND pg_has_role(relowner, 'USAGE')
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN sealed SET STORAGE EXTERNAL', model);
        EXCEPTION WHEN lock_not_available THEN NULL;
        END;
    END LOOP;
END $$;
