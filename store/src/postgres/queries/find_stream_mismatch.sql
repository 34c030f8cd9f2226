-- Returns the first position at which log and streams disagree. One statement is one snapshot, so appends may continue
-- concurrently. Tampering that the hash chain detects (changed bytes, changed order) is not checked here.
WITH head AS (
    SELECT coalesce(max(position), 0) AS position FROM events
), archive AS (
    SELECT coalesce(max(past_position), 0) AS past FROM log_archives
)
SELECT least(
    -- Inserted manually: the event has no stream, or is outside its stream's versions and positions.
    (SELECT min(e.position)
     FROM events e LEFT JOIN streams s ON s.id = e.stream_id
     WHERE s.id IS NULL OR e.version > s.version
        OR e.position < s.first_position OR e.position > s.last_position
        OR e.tenant <> s.tenant OR e.stream_type <> s.type),
    -- Removed at an end: a stream's last or first event is not at the stream's position. If that position is after the
    -- head, the end of the log is missing. A stream that ends in the archive has both its first and last event or none.
    (SELECT min(least(s.last_position, head.position + 1))
     FROM head, archive, streams s LEFT JOIN events e ON e.position = s.last_position
                                   LEFT JOIN events b ON b.position = s.first_position
     WHERE (e.stream_id IS DISTINCT FROM s.id OR e.version IS DISTINCT FROM s.version)
       AND NOT (s.last_position < archive.past AND e.position IS NULL AND b.position IS NULL)),
    (SELECT min(least(s.first_position, head.position + 1))
     FROM head, archive, streams s LEFT JOIN events e ON e.position = s.first_position
                                   LEFT JOIN events l ON l.position = s.last_position
     WHERE (e.stream_id IS DISTINCT FROM s.id OR e.version IS DISTINCT FROM 1)
       AND NOT (s.last_position < archive.past AND e.position IS NULL AND l.position IS NULL)),
    -- Removed in the middle and renumbered: an event whose predecessor in its stream is missing.
    (SELECT min(e.position)
     FROM events e LEFT JOIN events p ON p.stream_id = e.stream_id AND p.version = e.version - 1
     WHERE e.version > 1 AND p.position IS NULL),
    -- Removed in the middle: positions have no gaps, from 1 or from the end of the archive.
    (SELECT min(before + 1)
     FROM (SELECT position, lag(position, 1, greatest(past - 1, 0)) OVER (ORDER BY position) AS before
           FROM events, archive WHERE position >= past) AS steps
     WHERE position <> before + 1)
)
