-- The columns of Roentgen's log that the view needs, in their own types.
create table events (
  position bigint primary key,
  tenant uuid not null,
  stream_type text not null,
  stream_id uuid not null,
  version bigint not null,
  type text not null,
  schema_version int not null,
  payload json not null,
  metadata json not null
)
