//! Canaries, and requests that are rejected with one of them in an invalid place.

/// Unique canaries. The first nine are accepted, the last one is for rejected requests.
pub(super) const PLANTED: &[&str; 10] = &[
    "zq-indication-71c",
    "zq-mrn-82d",
    "zq-family-93e",
    "zq-given-04f",
    "1871-03-09",
    "zq-key-15a",
    "zq-value-26b",
    "zq-later-37c",
    "zq-reason-48d",
    "zq-refused-59e",
];

/// Text without PHI, which the scan must find.
pub(super) const OPEN: &str = "zq-procedure-60f";

pub(super) struct Refused {
    /// Path of the POST; if empty, the body is sent as a PATCH of an order.
    pub(super) at: &'static str,
    /// Body; PATIENT, PROCEDURE and LONG are replaced.
    pub(super) body: &'static str,
}

macro_rules! refused {
    ($($at:literal $body:literal)+) => {
        &[$(Refused { at: $at, body: $body }),+]
    };
}

pub(super) const REFUSED: &[Refused] = refused! {
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","priority":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","requested_at":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","accession_number":"zq-refused-59e-and-longer"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","patient":{"sex":"zq-refused-59e"}}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","patient":{"birth_date":"zq-refused-59e"}}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","patient":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","metadata":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":{"zq-refused-59e":1}}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"zq-refused-59e\u0000"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"zq-refused-59e\ud800"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","metadata":{"zq-refused-59e\u0000":1}}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","patient_name":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"x","indication":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"zq-refused-59e","metadata":{"a":"LONGLONG"}}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"zq-refused-59eLONG","metadata":{"a":"LONG"},"patient":{"mrn":"LONG","family_name":"LONG","given_name":"LONG"}}"#
    "/imaging/orders" r#"{"patient_id":"zq-refused-59e","imaging_procedure_id":PROCEDURE,"indication":"x"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"imaging_procedure_id":PATIENT,"indication":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"patient_id":PATIENT,"tenant_id":PATIENT,"imaging_procedure_id":PROCEDURE,"indication":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"indication":"zq-refused-59e"}"#
    "/imaging/orders" r#"{"indication":"zq-refused-59e"#
    "/imaging/orders" r#"["zq-refused-59e"]"#
    "/imaging/orders" r#"zq-refused-59e"#
    "" r#"{"status":"zq-refused-59e"}"#
    "" r#"{"status":"completed","cancellation_reason":"zq-refused-59e"}"#
    "" r#"{"metadata":{"note":"zq-refused-59e"}}"#
    "" r#"{"cancellation_reason":["zq-refused-59e"]}"#
    "" r#"{"performed_end_at":"zq-refused-59e"}"#
};
