//! Request bodies of the worklist.

use roentgen_commands::worklist::CreateItem;
use roentgen_domain::Change;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::ids::{OrderId, PatientId, PractitionerId, StudyId};
use roentgen_domain::order::Priority;
use roentgen_domain::score::Score;
use roentgen_domain::text::Text;
use roentgen_domain::worklist_item::{Authority, Claim, RequestedStatus, Update};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::command_request::TenantScopedBody;
use crate::openapi::values;
use crate::problem::Problem;
use crate::validation::{self, BodyValidator, JsonObject, List};

/// A new worklist item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWorklistItem {
    /// Study; must exist.
    #[schema(required, value_type = Uuid)]
    imaging_study_id: Option<Uuid>,
    /// Order; must be that of the study.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    imaging_order_id: Option<Uuid>,
    /// Patient; must be that of the study.
    #[schema(required, value_type = Uuid)]
    patient_id: Option<Uuid>,
    /// DICOM Modality.
    #[schema(required, value_type = values::ModalityCode, example = "CT")]
    modality_code: Option<String>,
    /// DICOM Body Part Examined; default that of the study.
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// routine, urgent or stat; default routine.
    #[schema(value_type = Option<values::OptionalPriority>)]
    priority: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a worklist item. Omitted members are kept; `null` removes an optional member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorklistItemChanges {
    /// pending, in_progress, completed or cancelled.
    #[serde(default)]
    #[schema(value_type = values::RequestedItemStatus, required = false)]
    status: Change<String>,
    /// routine, urgent or stat.
    #[serde(default)]
    #[schema(value_type = values::Priority, required = false)]
    priority: Change<String>,
    /// Radiologist to assign, with all the checks of a claim; `null` releases the item.
    #[serde(default, deserialize_with = "validation::id_change")]
    #[schema(value_type = Option<values::OptionalId>)]
    assigned_radiologist_id: Change<Uuid>,
    /// Score from outside the model catalog, 0 to 1.
    #[serde(default)]
    #[schema(value_type = Option<values::Score>)]
    ai_triage_score: Change<f64>,
    /// Flags from outside the model catalog.
    #[serde(default)]
    #[schema(value_type = Option<FlagsBody>)]
    ai_triage_flags: Change<JsonObject<FlagsBody>>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Maximum number of flags that a person may set; the same as for a model.
const MAX_FLAGS: usize = 100;

/// `{"flags": ["ICH_suspected"]}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TriageFlags)]
pub(crate) struct FlagsBody {
    /// Names of all findings.
    #[serde(default)]
    #[schema(value_type = Option<Vec<values::Name>>)]
    flags: Change<List<String, MAX_FLAGS>>,
}

/// The acting radiologist; must be the token's practitioner.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActingRadiologist {
    /// Must be the token's practitioner.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    radiologist_id: Option<Uuid>,
    /// Alias of `radiologist_id`.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    assigned_radiologist_id: Option<Uuid>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewWorklistItem {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for WorklistItemChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for ActingRadiologist {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewWorklistItem {
    pub(super) fn parse(self) -> Result<CreateItem, Problem> {
        let mut fields = BodyValidator::default();
        let study_id = fields.required("/imaging_study_id", self.imaging_study_id);
        let patient_id = fields.required("/patient_id", self.patient_id);
        let modality = fields.required("/modality_code", self.modality_code);
        let modality = fields.parse("/modality_code", modality, |text| {
            ModalityCode::parse(&text)
        });
        let body_part = fields.optional("/body_part", self.body_part, BodyPart::parse);
        let priority =
            fields.optional_word("/priority", self.priority, Priority::parse, Priority::NAMES);
        let whole = study_id.zip(patient_id).zip(modality);
        fields.finish(
            whole.map(|((study_id, patient_id), modality_code)| CreateItem {
                imaging_study_id: StudyId::from(study_id),
                imaging_order_id: self.imaging_order_id.map(OrderId::from),
                patient_id: PatientId::from(patient_id),
                modality_code,
                body_part,
                priority: priority.unwrap_or_default(),
            }),
        )
    }
}

impl WorklistItemChanges {
    /// Parses the changes. The handler sets the authority if the update requires the holder.
    pub(super) fn parse(self, caller: &str) -> Result<Update, Problem> {
        let mut fields = BodyValidator::default();
        let status = fields.kept("/status", self.status);
        let priority = fields.kept("/priority", self.priority);
        let flags = match self.ai_triage_flags {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(JsonObject(body)) => body.flags,
        };
        let update = Update {
            status: fields.enum_value(
                "/status",
                status,
                RequestedStatus::parse,
                RequestedStatus::NAMES,
            ),
            authority: Authority::Any,
            priority: fields.enum_value("/priority", priority, Priority::parse, Priority::NAMES),
            assign: self
                .assigned_radiologist_id
                .map(|assigned_radiologist_id| Claim {
                    radiologist_id: PractitionerId::from(assigned_radiologist_id),
                    assigned_by: Some(caller.to_owned()),
                }),
            ai_triage_score: fields.change("/ai_triage_score", self.ai_triage_score, Score::parse),
            ai_triage_flags: fields.each_of_change(
                "/ai_triage_flags/flags",
                flags,
                Text::parse_name,
            ),
        };
        fields.finish(Some(update))
    }
}

impl ActingRadiologist {
    /// Rejects a body that names another practitioner.
    pub(super) fn require(&self, practitioner: Option<PractitionerId>) -> Result<(), Problem> {
        let own = practitioner.map(PractitionerId::as_uuid);
        let mut fields = BodyValidator::default();
        let named = [
            ("/radiologist_id", self.radiologist_id),
            ("/assigned_radiologist_id", self.assigned_radiologist_id),
        ];
        for (pointer, named) in named {
            if named.is_some() && named != own {
                fields.push_error(pointer, "must be the caller's practitioner_id");
            }
        }
        fields.finish(Some(()))
    }
}
