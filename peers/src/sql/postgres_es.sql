-- The table that postgres-es 0.5 expects, under its default name: its documentation names these columns and makes
-- (type, id, sequence) the key, on which it finds an aggregate and guesses its conflicts. No snapshots: not measured.
create table events (
  aggregate_type text not null,
  aggregate_id text not null,
  sequence bigint not null check (sequence >= 0),
  event_type text not null,
  event_version text not null,
  payload json not null,
  metadata json not null,
  primary key (aggregate_type, aggregate_id, sequence)
)
