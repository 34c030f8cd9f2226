-- What policies (events that lead to commands) remember between events, and the effects that were refused for good.
-- Both are written in the transaction that moves the policies' checkpoint, so that memory is always that of the
-- checkpoint. Nothing in here is a record: read from the beginning, the log makes it again.
--
-- Old code sees: nothing.

-- `id` is derived from topic, tenant and key, so that one look-up serves a whole batch of events. `due_at`
-- (milliseconds since the epoch) makes a row a timer.
CREATE TABLE read.policy_memory (
    id     uuid   PRIMARY KEY,
    topic  text   NOT NULL,
    tenant uuid   NOT NULL,
    key    text   NOT NULL,
    value  text   NOT NULL,
    due_at bigint
) WITH (fillfactor = 80);

CREATE INDEX policy_memory_by_due ON read.policy_memory (due_at) WHERE due_at IS NOT NULL;

-- The causing event's position; the reason names no person and no content.
CREATE TABLE read.policy_refusals (
    position bigint NOT NULL,
    effect   text   NOT NULL,
    tenant   uuid   NOT NULL,
    reason   text   NOT NULL,
    PRIMARY KEY (position, effect)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON read.policy_memory, read.policy_refusals TO roentgen_server;
