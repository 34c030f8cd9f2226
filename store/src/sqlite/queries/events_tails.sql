-- What streams have after their first events and up to ?2, stream by stream as they were asked for: CROSS JOIN keeps the
-- tables in this order, and the index gives the events of each in the order of versions.
SELECT position, tenant, stream_type, stream_id, version, event_id, events.type AS type, schema_version,
       recorded_at, payload, sealed, metadata, leaf, hash
FROM json_each(?1) AS asked CROSS JOIN events INDEXED BY events_by_stream
WHERE stream_id = unhex(asked.value) AND version > 1 AND position <= ?2
