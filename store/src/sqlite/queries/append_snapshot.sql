-- Reads the state of the log that an append depends on, in one round trip under the write lock.
--
-- ?1 a JSON array of stream ids (hex)
-- ?2 a JSON array of reservation keys (hex)
-- ?3 now, in milliseconds
-- ?4 a JSON array of [stream id, version]: where a resend may find events of its first attempt
-- ?5 a JSON array of [tenant, patient] (hex): patients with a new key
--
-- Each row names its subject; the meaning of the other columns depends on it.
SELECT 'head' AS subject, NULL AS key, position AS number, recorded_at AS time, hash AS digest, NULL AS stream_id
FROM (SELECT position, recorded_at, hash FROM events ORDER BY position DESC LIMIT 1)
UNION ALL
SELECT 'stream', id, version, NULL, NULL, NULL
FROM streams WHERE id IN (SELECT unhex(value) FROM json_each(?1))
UNION ALL
SELECT 'claim', key, version, expires_at, request_hash, stream_id
FROM claims WHERE key IN (SELECT unhex(value) FROM json_each(?2)) AND expires_at > ?3
UNION ALL
SELECT 'event', event_id, position, recorded_at, NULL, NULL
FROM json_each(?4) AS sent
CROSS JOIN events
    ON stream_id = unhex(sent.value ->> 0) AND version = sent.value ->> 1
UNION ALL
SELECT 'key', key_id, NULL, NULL, tenant, patient
FROM json_each(?5) AS offered
CROSS JOIN key_register
    ON tenant = unhex(offered.value ->> 0) AND patient = unhex(offered.value ->> 1)
