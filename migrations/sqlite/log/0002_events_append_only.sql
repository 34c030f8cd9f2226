-- The log is appended to, and nothing else.
--
-- Why: an audit trail that its own server can rewrite proves nothing. `INSERT OR REPLACE` deletes without asking a
-- DELETE trigger on connections that have not set `recursive_triggers` (a shell, say), so inserts are held to the next
-- position and to free versions *before* they replace anything.
--
-- Old code sees: errors where it would have changed history.
CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: no UPDATE');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: no DELETE');
END;

CREATE TRIGGER events_go_to_the_end BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: an event takes the next position');
END;

CREATE TRIGGER events_take_free_versions BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE stream_id = NEW.stream_id AND version = NEW.version)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: the stream has this version');
END;
