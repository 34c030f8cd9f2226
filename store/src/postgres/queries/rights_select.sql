-- Returns the rights of this connection's roles, and the functions and operators of other owners in the schema public.
-- The owner of the database, the owner of the log and superusers are trusted; before the first migration the log does
-- not exist, and the migrating role is trusted. Arguments have exactly the types of pg_catalog's functions and
-- operators, so that none in public matches better.
WITH connected AS (
    SELECT session_user::text AS login, current_user::text AS role,
           (SELECT c.relowner FROM pg_catalog.pg_class c
            WHERE c.relnamespace = 'public'::pg_catalog.regnamespace::oid AND c.relname = 'events'::name) AS log_owner,
           (SELECT d.datdba FROM pg_catalog.pg_database d
            WHERE d.datname = pg_catalog.current_database()) AS database_owner
), objects AS (
    SELECT p.oid::pg_catalog.regprocedure::text AS name, p.proowner AS owner
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::pg_catalog.regnamespace::oid
    UNION ALL
    SELECT 'operator '::text || o.oid::pg_catalog.regoperator::text, o.oprowner
    FROM pg_catalog.pg_operator o WHERE o.oprnamespace = 'public'::pg_catalog.regnamespace::oid
)
SELECT login,
       ARRAY(SELECT pg_catalog.quote_ident(r.rolname::text)
             FROM pg_catalog.pg_roles r
             WHERE (r.rolname::text = login OR r.rolname::text = role)
               AND NOT r.rolsuper
               AND r.oid IS DISTINCT FROM log_owner AND r.oid <> database_owner
               AND NOT pg_catalog.pg_has_role(r.oid, coalesce(log_owner, database_owner), 'MEMBER'::text)
               AND NOT (log_owner IS NULL AND r.rolname::text = role)
               AND pg_catalog.has_schema_privilege(r.oid, 'public'::text, 'CREATE'::text)
             ORDER BY 1) AS may_create,
       ARRAY(SELECT pg_catalog.format('%s (of %I)'::text, VARIADIC ARRAY[o.name, r.rolname::text])
             FROM objects o JOIN pg_catalog.pg_roles r ON r.oid = o.owner
             WHERE NOT r.rolsuper
               AND r.oid IS DISTINCT FROM log_owner AND r.oid <> database_owner
               AND NOT (log_owner IS NULL AND r.rolname::text = role)
             ORDER BY 1) AS foreign_objects,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname::text = login) AS is_superuser,
       coalesce(pg_catalog.pg_has_role(login::name, log_owner, 'MEMBER'::text), false) AS owns_log
FROM connected
