-- What streams have after their first events and up to $2, stream by stream as they were asked for. Where a stream begins
-- and ends leaves out those that have nothing more, and the partitions around it. OFFSET 0 keeps the look-ups where they
-- stand: each stream is looked up by its id, and its events in the order of versions, which keeps to the index
-- (stream_id, version).
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
