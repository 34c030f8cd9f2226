-- Selects an event's columns in the order of `log::decode`.
SELECT position, tenant, stream_type, stream_id, version, event_id, type, schema_version,
       recorded_at, payload, sealed, metadata, leaf, hash
FROM events
