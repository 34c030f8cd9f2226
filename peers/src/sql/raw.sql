-- The least that a log on PostgreSQL could be: an id, a position and a payload. `json` as in Roentgen's own log, since
-- `jsonb` would not keep the bytes.
create table raw_events (
  id uuid primary key,
  position bigint generated always as identity,
  payload json not null
)
