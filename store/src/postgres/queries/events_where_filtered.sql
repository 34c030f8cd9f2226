-- Range of a page ($1 < position <= $2), and its filters.
WHERE position > $1 AND position <= $2
  AND ($4::text[] IS NULL OR type = ANY ($4))
  AND ($5::text IS NULL OR stream_type = $5)
  AND ($6::text IS NULL OR payload ->> 'patient_id' = $6)
