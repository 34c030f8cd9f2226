-- Returns keys and tombstones by id. A tombstone takes precedence over a row of the same key.
--
-- ?1 a JSON array of key ids (hex)
SELECT tenant, patient, key_id, NULL AS wrapped
FROM json_each(?1) AS wanted
CROSS JOIN key_tombstones ON key_id = unhex(wanted.value)
UNION ALL
SELECT tenant, patient, key_id, wrapped
FROM json_each(?1) AS wanted
CROSS JOIN patient_keys ON key_id = unhex(wanted.value)
WHERE NOT EXISTS (SELECT 1 FROM key_tombstones AS erased WHERE erased.key_id = patient_keys.key_id)
