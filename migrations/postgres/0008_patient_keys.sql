-- Each patient's data key, wrapped by the master key. To destroy the row is to erase the patient everywhere, which is
-- the owner's to do: the server can only add keys.
--
-- Old code: there is none.

CREATE TABLE patient_keys (
    tenant     uuid   NOT NULL,
    patient    uuid   NOT NULL,
    key_id     uuid   NOT NULL,
    wrapped    bytea  NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, patient)
);

GRANT SELECT, INSERT ON patient_keys TO roentgen_server;
