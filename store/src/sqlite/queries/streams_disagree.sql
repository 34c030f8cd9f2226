-- The first position at which the streams' own counts and the events disagree.
SELECT min(position) AS position FROM (
    -- Events that no stream knows of: inserted by hand.
    SELECT events.position
    FROM events LEFT JOIN streams ON streams.id = events.stream_id
    WHERE streams.id IS NULL OR events.version > streams.version
    UNION ALL
    -- Streams whose last event is elsewhere, or nowhere.
    SELECT min(streams.last_position, coalesce(events.position, streams.last_position))
    FROM streams LEFT JOIN events ON events.stream_id = streams.id AND events.version = streams.version
    WHERE events.position IS NOT streams.last_position
    UNION ALL
    -- Streams whose first event is elsewhere, or nowhere.
    SELECT min(streams.first_position, coalesce(events.position, streams.first_position))
    FROM streams LEFT JOIN events ON events.stream_id = streams.id AND events.version = 1
    WHERE events.position IS NOT streams.first_position
    UNION ALL
    -- Streams that reach past the end: the tail was removed.
    SELECT head.position + 1
    FROM (SELECT coalesce(max(position), 0) AS position FROM events) AS head
    WHERE head.position < (SELECT max(last_position) FROM streams)
)
