-- The stream $1: events of the types $2 with the payloads $3, in order. `metadata` has members that are no strings,
-- as ours may: postgres-es could not read them.
insert into events (position, tenant, stream_type, stream_id, version, type, schema_version, payload, metadata)
select ordinal, gen_random_uuid(), 'ImagingOrder', $1, ordinal, type, 1, payload::json, '{"correlation": {"n": 1}}'
from unnest($2::text[], $3::text[]) with ordinality as event (type, payload, ordinal)
