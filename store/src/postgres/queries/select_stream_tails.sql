-- Selects the remaining events of streams, up to $2, in the order in which the streams were requested. The first and
-- last position of a stream exclude streams without further events, and partitions outside the stream. OFFSET 0 keeps
-- the planner from moving the lookups: each stream is looked up by its id, and its events in the order of versions,
-- which uses the index (stream_id, version).
SELECT e.*
FROM unnest($1::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT first_position, last_position FROM streams
    WHERE streams.id = asked.id AND version > 1 OFFSET 0
) AS s
CROSS JOIN LATERAL (
    SELECT position, tenant, stream_type, stream_id, version, event_id, type, schema_version,
           recorded_at, payload, sealed, metadata, leaf, hash
    FROM events
    WHERE stream_id = asked.id AND version > 1
      AND position > s.first_position AND position <= least(s.last_position, $2)
    ORDER BY version OFFSET 0
) AS e
