-- Returns one row per patient, in the requested order; scalar lookups, because a join may be planned badly.
SELECT (SELECT k.key_id FROM patient_keys k WHERE k.tenant = a.tenant AND k.patient = a.patient),
       (SELECT k.wrapped FROM patient_keys k WHERE k.tenant = a.tenant AND k.patient = a.patient),
       ARRAY(SELECT t.key_id FROM key_tombstones t WHERE t.tenant = a.tenant AND t.patient = a.patient),
       ARRAY(SELECT r.key_id FROM key_register r WHERE r.tenant = a.tenant AND r.patient = a.patient)
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a(tenant, patient, n)
ORDER BY n
