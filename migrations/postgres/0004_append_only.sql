-- What is in the log stays as it is: UPDATE, DELETE and TRUNCATE are refused, to the owner as well. Row triggers of the
-- parent are cloned to every partition; a TRUNCATE trigger is not, so that `log_ensure_partitions` makes one for each.
--
-- Old code: there is none.

CREATE FUNCTION events_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

REVOKE ALL ON FUNCTION events_refuse_change() FROM PUBLIC;

CREATE TRIGGER events_are_append_only
    BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_refuse_change();

CREATE TRIGGER events_are_not_truncated
    BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();
