-- How far each relay (NATS JetStream) is: what of the log has left the house, and where it stands there. Not in the
-- schema `read`, whose content can be made again from the log: this cannot. A stream that was emptied by age or by hand
-- does not say what it held. One row, moved a few times a second at most, by compare-and-set. `stream_created` is in
-- nanoseconds since the epoch, as the NATS server stamped it.
--
-- Old code: does not look here.

CREATE TABLE relays (
    name           text   PRIMARY KEY,
    position       bigint NOT NULL,
    hash           bytea  NOT NULL,
    stream_created bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON relays TO roentgen_server;
