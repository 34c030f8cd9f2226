-- Returns the first position at which the streams' counts and the events disagree.
SELECT min(position) AS position FROM (
    -- Events without a stream, or after their stream's last version: inserted manually.
    SELECT events.position
    FROM events LEFT JOIN streams ON streams.id = events.stream_id
    WHERE streams.id IS NULL OR events.version > streams.version
    UNION ALL
    -- Streams whose last event is at another position, or missing.
    SELECT min(streams.last_position, coalesce(events.position, streams.last_position))
    FROM streams LEFT JOIN events ON events.stream_id = streams.id AND events.version = streams.version
    WHERE events.position IS NOT streams.last_position
    UNION ALL
    -- Streams whose first event is at another position, or missing.
    SELECT min(streams.first_position, coalesce(events.position, streams.first_position))
    FROM streams LEFT JOIN events ON events.stream_id = streams.id AND events.version = 1
    WHERE events.position IS NOT streams.first_position
    UNION ALL
    -- Streams that end after the head: the end of the log was removed.
    SELECT head.position + 1
    FROM (SELECT coalesce(max(position), 0) AS position FROM events) AS head
    WHERE head.position < (SELECT max(last_position) FROM streams)
)
