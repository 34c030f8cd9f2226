-- Roentgen's log as a postgres-es program expects to find it (`with_tables("es_events", ..)`).
-- postgres-es hands serde the payload alone, not the type beside it, so the payload is wrapped under its type as
-- serde tags an enum. It reads metadata as a map of strings, which ours is not: it gets an empty one.
-- The text id is computed, so a look-up by id reads the whole table, unless there is an index on
-- (stream_type, (stream_id::text)). Sealed PHI stays out: there is no key on that side.
create view es_events as
select
  stream_type as aggregate_type,
  stream_id::text as aggregate_id,
  version as sequence,
  type as event_type,
  schema_version::text as event_version,
  json_build_object(type, payload) as payload,
  '{}'::json as metadata
from events
