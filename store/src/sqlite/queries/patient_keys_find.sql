-- Patients' keys, each with the place in which it was asked for.
--
-- ?1 a JSON array of [tenant, patient] (hex)
SELECT wanted.key AS place, key_id, wrapped
FROM json_each(?1) AS wanted
CROSS JOIN patient_keys
    ON tenant = unhex(wanted.value ->> 0) AND patient = unhex(wanted.value ->> 1)
