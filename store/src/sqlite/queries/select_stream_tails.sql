-- Selects the remaining events of streams, up to ?2, in the order in which the streams were requested: CROSS JOIN keeps
-- the tables in this order, and the index returns each stream's events in the order of versions.
SELECT position, tenant, stream_type, stream_id, version, event_id, events.type AS type, schema_version,
       recorded_at, payload, sealed, metadata, leaf, hash
FROM json_each(?1) AS asked CROSS JOIN events INDEXED BY events_by_stream
WHERE stream_id = unhex(asked.value) AND version > 1 AND position <= ?2
