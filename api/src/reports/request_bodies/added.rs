//! Request bodies for the parts of a report: addenda, communications, reviews of AI suggestions.

use roentgen_domain::ids::{PractitionerId, ReportId};
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{AddendumKind, Decision, Method, NewCommunication};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_own_practitioner;
use crate::command_request::TenantScopedBody;
use crate::openapi::values;
use crate::problem::Problem;
use crate::validation::{self, BodyValidator};

/// An addendum to a final report.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAddendumBody {
    /// Addendum text.
    #[schema(required, value_type = values::Prose)]
    content: Option<String>,
    /// addition, correction or amendment; default addition.
    #[schema(value_type = Option<values::OptionalAddendumKind>)]
    kind: Option<String>,
    /// Whether the report is now critical.
    pub(crate) critical_result: Option<bool>,
    /// Must match the report id in the path.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    radiology_report_id: Option<Uuid>,
    /// Must match the caller's practitioner_id.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    added_by_radiologist_id: Option<Uuid>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// A communication of a critical result.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCommunication)]
pub(crate) struct NewCommunicationBody {
    /// Recipient of the communication.
    #[schema(required, value_type = values::Prose)]
    recipient: Option<String>,
    /// phone, in_person, secure_message or other.
    #[schema(required, value_type = values::CommunicationMethod)]
    method: Option<String>,
    /// Time of the communication.
    #[schema(required, value_type = values::Time)]
    communicated_at: Option<String>,
    /// Whether the recipient read the result back.
    #[schema(required, value_type = bool)]
    read_back: Option<bool>,
    /// Further details.
    #[schema(value_type = Option<values::Note>)]
    note: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Review of an AI suggestion.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestionReview {
    /// accepted, rejected or modified.
    #[schema(required, value_type = values::SuggestionDecision)]
    decision: Option<String>,
    /// Reason for the decision.
    #[schema(value_type = Option<values::Note>)]
    note: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

command_bodies!(NewAddendumBody, NewCommunicationBody, SuggestionReview);

impl NewAddendumBody {
    pub(crate) fn parse(
        self,
        report: ReportId,
        radiologist_id: PractitionerId,
    ) -> Result<(AddendumKind, PhiText), Problem> {
        let mut fields = BodyValidator::default();
        let content = fields.required("/content", self.content);
        let content = fields.phi_text("/content", content);
        let kind =
            fields.optional_word("/kind", self.kind, AddendumKind::parse, AddendumKind::NAMES);
        let adder = self.added_by_radiologist_id;
        check_own_practitioner(
            &mut fields,
            "/added_by_radiologist_id",
            adder,
            radiologist_id,
        );
        let named = self.radiology_report_id;
        if named.is_some_and(|id| id != report.as_uuid()) {
            fields.push_error(
                "/radiology_report_id",
                "must match the report id in the path",
            );
        }
        fields.finish(content.map(|content| (kind.unwrap_or_default(), content)))
    }
}

impl NewCommunicationBody {
    pub(crate) fn parse(self, radiologist_id: PractitionerId) -> Result<NewCommunication, Problem> {
        let mut fields = BodyValidator::default();
        let whole = self.check(radiologist_id, "", &mut fields);
        fields.finish(whole)
    }

    pub(super) fn check(
        self,
        radiologist_id: PractitionerId,
        root: &str,
        fields: &mut BodyValidator,
    ) -> Option<NewCommunication> {
        let at = |member: &str| format!("{root}/{member}");
        let recipient = fields.required(&at("recipient"), self.recipient);
        let recipient = fields.phi_text(&at("recipient"), recipient);
        let method = fields.required(&at("method"), self.method);
        let method = fields.enum_value(&at("method"), method, Method::parse, Method::NAMES);
        let told_at = fields.required(&at("communicated_at"), self.communicated_at);
        let told_at = fields.time(&at("communicated_at"), told_at);
        let read_back = fields.required(&at("read_back"), self.read_back);
        let note = fields.optional_phi(&at("note"), self.note);
        Some(NewCommunication {
            radiologist_id,
            recipient: recipient?,
            method: method?,
            communicated_at: told_at?,
            read_back: read_back?,
            note,
        })
    }
}

impl SuggestionReview {
    pub(crate) fn parse(self) -> Result<(Decision, Option<PhiText>), Problem> {
        let mut fields = BodyValidator::default();
        let decision = fields.required("/decision", self.decision);
        let decision = fields.enum_value("/decision", decision, Decision::parse, Decision::NAMES);
        let note = fields.optional_phi("/note", self.note);
        fields.finish(decision.map(|decision| (decision, note)))
    }
}
