-- $1 rows, each with the payload $2.
insert into copied_events (id, payload)
select gen_random_uuid(), $2::json from generate_series(1, $1)
