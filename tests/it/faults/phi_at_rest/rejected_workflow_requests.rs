//! Rejected requests of the workflow that contain a canary.

pub(super) struct RejectedWorkflowRequest {
    pub(super) method: &'static str,
    /// Path; DRAFT, FINAL, STUDY, ITEM and TASK are replaced by paths, OUTPUT by an id.
    pub(super) path: &'static str,
    /// Body; PATIENT, STUDY, TASK and NOBODY are replaced by ids, UID by the study's, LONG by a very long text, BAD by
    /// the canary.
    pub(super) body: &'static str,
}

macro_rules! mistaken {
    ($($method:ident $path:literal $body:literal)+) => {
        &[$(RejectedWorkflowRequest { method: stringify!($method), path: $path, body: $body }),+]
    };
}

pub(super) const MISTAKEN: &[RejectedWorkflowRequest] = mistaken! {
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"BAD"}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"2.25.1","patient":{"mrn":"BAD","sex":"BAD"}}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"2.25.1","patient":{"birth_date":"BAD"}}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"2.25.1","patient":"BAD"}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"2.25.1","patient":{"family_name":"BAD","nickname":"x"}}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"NONE","patient_id":PATIENT,"modality_code":"CT","study_instance_uid":"2.25.1","patient":{"family_name":"BAD"}}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient_id":NOBODY,"modality_code":"CT","study_instance_uid":UID,"patient":{"family_name":"BAD"}}"#
    POST "/pacs/studies/sync" r#"{"pacs_endpoint_code":"MAIN","patient":{"mrn":"BAD"#
    PATCH "STUDY" r#"{"status":"BAD"}"#
    PATCH "STUDY" r#"{"patient":{"mrn":"BAD"}}"#
    POST "/pacs/series" r#"{"imaging_study_id":STUDY,"series_instance_uid":"BAD"}"#
    PATCH "ITEM" r#"{"status":"BAD"}"#
    PATCH "ITEM" r#"{"patient":{"mrn":"BAD"}}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"impression":"BAD"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":NOBODY,"findings":"BAD"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":NOBODY,"patient_id":PATIENT,"clinical_history":"BAD"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"template_id":NOBODY,"findings":"BAD"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"clinical_history":"BAD","technique":1}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"impression":["BAD"]}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"impression":"BAD\u0000"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"structured_data":"BAD"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":STUDY,"patient_id":PATIENT,"findings":"BADLONGLONG"}"#
    POST "/radiology/reports" r#"{"imaging_study_id":"BAD","impression":"BAD"}"#
    PATCH "FINAL" r#"{"impression":"BAD"}"#
    PATCH "DRAFT" r#"{"sections":[{"code":"BAD","text":"BAD"}]}"#
    PATCH "DRAFT" r#"{"sections":[{"code":"findings","text":"BAD\u0000"}]}"#
    PATCH "DRAFT" r#"{"sections":{"findings":"BAD"}}"#
    PATCH "DRAFT" r#"{"structured_data":["BAD"]}"#
    PATCH "DRAFT" r#"{"structured_data":{"aspects":"BAD\u0000"}}"#
    PATCH "DRAFT" r#"{"impression":"BAD\ud800"}"#
    PATCH "DRAFT" r#"{"ai_assist_summary":{"text":"BAD"}}"#
    PATCH "DRAFT" r#"{"findings":"BAD","status":"final"}"#
    PATCH "DRAFT" r#"{"findings":"BAD","findings":"x"}"#
    POST "DRAFT/sign" r#"{"final":"BAD"}"#
    POST "DRAFT/sign" r#"{"communication":{"recipient":"BAD","method":"BAD"}}"#
    POST "DRAFT/sign" r#"{"communication":"BAD"}"#
    POST "DRAFT/sign" r#"{"final":true}"#
    POST "DRAFT/addenda" r#"{"content":"BAD"}"#
    POST "FINAL/addenda" r#"{"content":"BAD","kind":"BAD"}"#
    POST "FINAL/addenda" r#"{"content":["BAD"]}"#
    POST "FINAL/addenda" r#"{"content":"BAD","radiology_report_id":NOBODY}"#
    POST "DRAFT/communications" r#"{"recipient":"BAD"}"#
    POST "DRAFT/communications" r#"{"recipient":"BAD","method":"phone","read_back":true,"communicated_at":"BAD","note":"BAD"}"#
    POST "DRAFT/communications" r#"{"recipient":"BAD","method":"phone","read_back":true,"communicated_at":"2999-01-01T00:00:00Z","note":"BAD"}"#
    POST "DRAFT/communications" r#"{"recipient":"BAD","method":"phone","read_back":"BAD","communicated_at":"2026-01-31T08:15:00Z"}"#
    POST "DRAFT/ai-suggestions/OUTPUT" r#"{"decision":"accepted","note":"BAD"}"#
    POST "FINAL/ai-suggestions/OUTPUT" r#"{"decision":"BAD","note":"BAD"}"#
    POST "FINAL/cancel" r#"{"reason":"BAD"}"#
    POST "DRAFT/cancel" r#"{"reason":"BAD\u0000"}"#
    POST "DRAFT/cancel" r#"{"reason":{"why":"BAD"}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"BAD","payload":{"findings":"BAD"}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"finding_list","payload":{"findings":[{"label":"BAD","confidence":"BAD"}]}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"finding_list","payload":{"findings":["BAD"]}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"suggested_report","payload":{"findings":{"text":"BAD"}}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"suggested_report","payload":{"impression":"BAD\u0000"}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"suggested_report","payload":{"BAD":"\u0000"}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"suggested_report","payload":"BAD"}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"comparison","payload":{"summary":"BADLONGLONG"}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":TASK,"output_type":"triage","payload":{"triage_score":0.5,"flags":["BAD",5]}}"#
    POST "/imaging-ai/outputs" r#"{"imaging_ai_task_id":NOBODY,"output_type":"suggested_report","payload":{"findings":"BAD"}}"#
    PATCH "TASK/status" r#"{"status":"BAD"}"#
    PATCH "TASK/status" r#"{"status":"failed","error_message":"BAD"}"#
};

/// Reads that are rejected.
pub(super) const ASKED: &[&str] = &[
    "/pacs/studies?status=BAD",
    "/radiology/worklist/items?priority=BAD",
    "/radiology/reports?patient_id=BAD",
    "/radiology/reports?cursor=BAD",
    "/radiology/reports?impression=BAD",
    "/radiology/critical-results?status=BAD",
    "/imaging-ai/outputs?output_type=BAD",
    "/imaging-ai/outputs/BAD",
    "/patients/BAD/timeline",
];
