-- Returns one row per key, in the requested order; scalar lookups, because a join may be planned badly.
SELECT a.id,
       (SELECT t.key_id FROM key_tombstones t WHERE t.key_id = a.id),
       (SELECT k.tenant FROM patient_keys k WHERE k.key_id = a.id),
       (SELECT k.patient FROM patient_keys k WHERE k.key_id = a.id),
       (SELECT k.wrapped FROM patient_keys k WHERE k.key_id = a.id)
FROM unnest($1::uuid[]) WITH ORDINALITY AS a(id, n)
ORDER BY n
