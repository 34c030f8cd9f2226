//! Request bodies of reports.

macro_rules! command_bodies {
    ($($body:ty),+) => {$(
        impl TenantScopedBody for $body {
            fn tenant_id(&self) -> Option<Uuid> {
                self.tenant_id
            }
        }
    )+};
}

mod added;

use roentgen_domain::Change;
use roentgen_domain::codes::SectionCode;
use roentgen_domain::ids::{OrderId, PatientId, PractitionerId, StudyId, TemplateId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{
    AuthoredContent, Content, ContentChanges, ContentEdit, Edit, NewCommunication, Section,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use added::{NewAddendumBody, NewCommunicationBody, SuggestionReview};

use crate::command_request::TenantScopedBody;
use crate::openapi::values;
use crate::problem::Problem;
use crate::validation::{self, BodyValidator, FreeObject, JsonObject, List};

/// Maximum number of sections in one request: more than a report has.
const MAX_SECTIONS: usize = 100;

/// A new report.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReport {
    /// Study.
    #[schema(required, value_type = Uuid)]
    imaging_study_id: Option<Uuid>,
    /// Patient; must be that of the study.
    #[schema(required, value_type = Uuid)]
    patient_id: Option<Uuid>,
    /// Order; must be that of the study.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    imaging_order_id: Option<Uuid>,
    /// Template; must be active and applicable to the study.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    template_id: Option<Uuid>,
    /// Must match the caller's practitioner_id.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    radiologist_id: Option<Uuid>,
    /// Clinical history.
    #[schema(value_type = Option<values::Note>)]
    clinical_history: Option<String>,
    /// Technique.
    #[schema(value_type = Option<values::Note>)]
    technique: Option<String>,
    /// Findings.
    #[schema(value_type = Option<values::Note>)]
    findings: Option<String>,
    /// Impression.
    #[schema(value_type = Option<values::Note>)]
    impression: Option<String>,
    /// Structured data validated by the template's schema.
    #[schema(value_type = Option<Object>)]
    structured_data: Option<FreeObject>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a report. Omitted members are kept; `null` removes an optional member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportChanges {
    /// Clinical history.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    clinical_history: Change<String>,
    /// Technique.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    technique: Change<String>,
    /// Findings.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    findings: Change<String>,
    /// Impression.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    impression: Change<String>,
    /// Sections to update: the four standard sections and those of the template.
    #[serde(default)]
    #[schema(value_type = Vec<SectionBody>, required = false)]
    sections: Change<List<JsonObject<SectionBody>, MAX_SECTIONS>>,
    /// Structured data validated by the template's schema, as a merge patch (RFC 7396): nested objects are merged
    /// member by member.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    structured_data: Change<FreeObject>,
    /// Retained AI summary; neither signed nor released.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    ai_assist_summary: Change<String>,
    /// Whether the report contains a critical result.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    critical_result: Change<bool>,
    /// Must match the caller's practitioner_id.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    radiologist_id: Option<Uuid>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// A section update.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReportSection)]
pub(crate) struct SectionBody {
    /// Section code, for example `findings`.
    #[schema(required, value_type = values::SectionCode)]
    code: Option<String>,
    /// Ignored on input; derived from the code.
    #[serde(rename = "title")]
    #[schema(value_type = Option<values::Label>)]
    _title: Option<String>,
    /// Section text; cleared if null or blank.
    #[serde(default)]
    #[schema(required, value_type = Option<values::Note>)]
    text: Change<String>,
}

/// A signature.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureBody {
    /// true signs as final, false as preliminary; default true.
    #[serde(rename = "final")]
    pub(super) is_final: Option<bool>,
    /// Communication of the critical result made before signing.
    #[schema(value_type = Option<NewCommunicationBody>)]
    pub(super) communication: Option<JsonObject<NewCommunicationBody>>,
    /// Must match the caller's practitioner_id.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    radiologist_id: Option<Uuid>,
    /// Must match the caller's practitioner_id.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    signed_by_radiologist_id: Option<Uuid>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// A cancellation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancellationBody {
    /// Cancellation reason.
    #[schema(required, value_type = values::Prose)]
    reason: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

command_bodies!(NewReport, ReportChanges, SignatureBody, CancellationBody);

/// Checks that a practitioner named in the body is the caller's practitioner.
fn check_own_practitioner(
    fields: &mut BodyValidator,
    pointer: &str,
    named: Option<Uuid>,
    caller: PractitionerId,
) {
    if named.is_some_and(|id| id != caller.as_uuid()) {
        fields.push_error(pointer, "must be the caller's practitioner_id");
    }
}

impl NewReport {
    pub(super) fn parse(
        self,
        radiologist_id: PractitionerId,
    ) -> Result<roentgen_commands::report::CreateReport, Problem> {
        let mut fields = BodyValidator::default();
        let study = fields.required("/imaging_study_id", self.imaging_study_id);
        let patient = fields.required("/patient_id", self.patient_id);
        check_own_practitioner(
            &mut fields,
            "/radiologist_id",
            self.radiologist_id,
            radiologist_id,
        );
        let content = Content {
            clinical_history: fields.optional_phi("/clinical_history", self.clinical_history),
            technique: fields.optional_phi("/technique", self.technique),
            findings: fields.optional_phi("/findings", self.findings),
            impression: fields.optional_phi("/impression", self.impression),
            sections: None,
            structured_data: fields.metadata("/structured_data", self.structured_data),
        };
        fields.finish(study.zip(patient).map(|(study, patient)| {
            roentgen_commands::report::CreateReport {
                imaging_study_id: StudyId::from(study),
                patient_id: PatientId::from(patient),
                imaging_order_id: self.imaging_order_id.map(OrderId::from),
                template_id: self.template_id.map(TemplateId::from),
                radiologist_id,
                written: AuthoredContent {
                    content,
                    ai_assist_summary: None,
                },
            }
        }))
    }
}

impl ReportChanges {
    pub(super) fn parse(self, radiologist_id: PractitionerId) -> Result<Edit, Problem> {
        let mut fields = BodyValidator::default();
        check_own_practitioner(
            &mut fields,
            "/radiologist_id",
            self.radiologist_id,
            radiologist_id,
        );
        let content = ContentChanges {
            clinical_history: fields.phi_change("/clinical_history", self.clinical_history),
            technique: fields.phi_change("/technique", self.technique),
            findings: fields.phi_change("/findings", self.findings),
            impression: fields.phi_change("/impression", self.impression),
            sections: None,
            structured_data: fields.metadata_change("/structured_data", self.structured_data),
        };
        let summary = fields.phi_change("/ai_assist_summary", self.ai_assist_summary);
        let critical_result = fields.kept("/critical_result", self.critical_result);
        let sections = fields.kept("/sections", self.sections);
        let sections = sections.unwrap_or_default().0.into_iter().enumerate();
        let sections =
            sections.filter_map(|(place, JsonObject(body))| body.parse(place, &mut fields));
        let sections = sections.collect();
        fields.finish(Some(Edit {
            radiologist_id,
            written: ContentEdit {
                content,
                ai_assist_summary: summary,
            },
            sections,
            critical_result,
        }))
    }
}

impl SectionBody {
    fn parse(self, place: usize, fields: &mut BodyValidator) -> Option<Section> {
        let code_at = format!("/sections/{place}/code");
        let text_at = format!("/sections/{place}/text");
        let code = fields.required(&code_at, self.code);
        let code = fields.parse(&code_at, code, |text| SectionCode::parse(&text));
        if self.text.is_keep() {
            fields.push_error(&text_at, "is required");
        }
        let text = fields.phi_change(&text_at, self.text).value();
        Some(Section { code: code?, text })
    }
}

impl SignatureBody {
    /// Returns whether the signature is final, and the communication, if any.
    pub(super) fn parse(
        self,
        radiologist_id: PractitionerId,
    ) -> Result<(bool, Option<NewCommunication>), Problem> {
        let mut fields = BodyValidator::default();
        check_own_practitioner(
            &mut fields,
            "/radiologist_id",
            self.radiologist_id,
            radiologist_id,
        );
        let signer = self.signed_by_radiologist_id;
        check_own_practitioner(
            &mut fields,
            "/signed_by_radiologist_id",
            signer,
            radiologist_id,
        );
        let told = self
            .communication
            .map(|JsonObject(body)| body.check(radiologist_id, "/communication", &mut fields));
        let whole = match told {
            None => Some(None),
            Some(told) => told.map(Some),
        };
        fields.finish(whole.map(|told| (self.is_final.unwrap_or(true), told)))
    }
}

impl CancellationBody {
    pub(super) fn parse(self) -> Result<PhiText, Problem> {
        let mut fields = BodyValidator::default();
        let reason = fields.required("/reason", self.reason);
        let reason = fields.phi_text("/reason", reason);
        fields.finish(reason)
    }
}
