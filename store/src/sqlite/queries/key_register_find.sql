-- Returns the keys that the log lists for patients, each with the patient's index in the request.
--
-- ?1 a JSON array of [tenant, patient] (hex)
SELECT wanted.key AS place, key_id
FROM json_each(?1) AS wanted
CROSS JOIN key_register
    ON tenant = unhex(wanted.value ->> 0) AND patient = unhex(wanted.value ->> 1)
