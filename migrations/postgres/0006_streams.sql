-- How far each stream is, and between which positions its events stand. Compared and moved on under the append lock:
-- this table is what keeps (stream, version) unique over all partitions, and what bounds a load to a few of them.
-- The fill factor leaves room for an update within the page.
--
-- Old code: there is none.

CREATE TABLE streams (
    id             uuid   PRIMARY KEY,
    type           text   NOT NULL,
    tenant         uuid   NOT NULL,
    version        bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL
) WITH (fillfactor = 80);

GRANT SELECT, INSERT, UPDATE ON streams TO roentgen_server;
