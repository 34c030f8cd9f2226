-- Returns patients' keys and tombstones, each with the patient's index in the request. A tombstone has no wrapped key.
--
-- ?1 a JSON array of [tenant, patient] (hex)
SELECT wanted.key AS place, key_id, wrapped
FROM json_each(?1) AS wanted
CROSS JOIN patient_keys
    ON tenant = unhex(wanted.value ->> 0) AND patient = unhex(wanted.value ->> 1)
UNION ALL
SELECT wanted.key, key_id, NULL
FROM json_each(?1) AS wanted
CROSS JOIN key_tombstones
    ON tenant = unhex(wanted.value ->> 0) AND patient = unhex(wanted.value ->> 1)
