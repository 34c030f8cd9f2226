//! Request bodies of studies, series and instances.

use std::fmt::Display;

use roentgen_commands::study::{SyncStudy, UpdateStudy};
use roentgen_domain::Change;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::{ModalityCode, PacsEndpointCode};
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::{OrderId, PatientId, StudyId};
use roentgen_domain::study::{InstanceAttributes, SeriesAttributes, Status, SyncedSeries, Update};
use roentgen_domain::time::ParsedTime;
use roentgen_domain::url::HttpUrl;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::warnings::ReportedTimes;
use crate::command_request::TenantScopedBody;
use crate::openapi::values;
use crate::problem::Problem;
use crate::validation::{self, BodyValidator, JsonObject, List, PatientBody};

/// Maximum number of series in one request, and of instances in each series. A further sync adds the rest.
const MAX_SERIES: usize = 500;
const MAX_INSTANCES: usize = 5_000;

/// Study metadata reported by a PACS.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StudySync)]
pub(crate) struct SyncBody {
    /// PACS endpoint; must exist and be active.
    #[schema(required, value_type = values::CatalogCode, example = "MAIN_PACS")]
    pacs_endpoint_code: Option<String>,
    /// Study Instance UID (0020,000D).
    #[schema(required, value_type = values::Uid, example = "1.2.840.113619.2.55.3")]
    study_instance_uid: Option<String>,
    /// Patient.
    #[schema(required, value_type = Uuid)]
    patient_id: Option<Uuid>,
    /// Modality (0008,0060).
    #[schema(required, value_type = values::ModalityCode, example = "CT")]
    modality_code: Option<String>,
    /// Accession Number (0008,0050); links the study to its order.
    #[schema(value_type = Option<values::OptionalAccessionNumber>)]
    accession_number: Option<String>,
    /// Study Description (0008,1030).
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// Body Part Examined (0018,0015).
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// Start of the study.
    #[schema(value_type = Option<values::OptionalTime>)]
    started_at: Option<String>,
    /// End of the study.
    #[schema(value_type = Option<values::OptionalTime>)]
    ended_at: Option<String>,
    /// Order, if known to the PACS; must exist.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    imaging_order_id: Option<Uuid>,
    /// Patient demographics.
    #[schema(value_type = Option<PatientBody>)]
    patient: Option<JsonObject<PatientBody>>,
    /// Series reported by the PACS.
    #[schema(value_type = Option<Vec<SyncedSeriesBody>>)]
    series: Option<List<JsonObject<SyncedSeriesBody>, MAX_SERIES>>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// A series with its instances.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SyncedSeries)]
pub(crate) struct SyncedSeriesBody {
    /// Series Instance UID (0020,000E).
    #[schema(required, value_type = values::Uid)]
    series_instance_uid: Option<String>,
    /// Series Number (0020,0011).
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Integer>)]
    series_number: Option<i64>,
    /// Body Part Examined (0018,0015).
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// Modality (0008,0060).
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Option<String>,
    /// Number of instances, including unlisted ones.
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Count>)]
    number_of_instances: Option<i64>,
    /// Series Description (0008,103E).
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// Instances reported by the PACS.
    #[schema(value_type = Option<Vec<SyncedInstanceBody>>)]
    instances: Option<List<JsonObject<SyncedInstanceBody>, MAX_INSTANCES>>,
}

/// An instance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SyncedInstance)]
pub(crate) struct SyncedInstanceBody {
    /// SOP Instance UID (0008,0018).
    #[schema(required, value_type = values::Uid)]
    sop_instance_uid: Option<String>,
    /// SOP Class UID (0008,0016).
    #[schema(value_type = Option<values::OptionalUid>)]
    sop_class_uid: Option<String>,
    /// Instance Number (0020,0013).
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Integer>)]
    instance_number: Option<i64>,
}

/// A new series of a study.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSeries)]
pub(crate) struct SeriesBody {
    /// Study of the series.
    #[schema(required, value_type = Uuid)]
    imaging_study_id: Option<Uuid>,
    /// Series Instance UID (0020,000E); must be unique within the study.
    #[schema(required, value_type = values::Uid)]
    series_instance_uid: Option<String>,
    /// Series Number (0020,0011).
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Integer>)]
    series_number: Option<i64>,
    /// Body Part Examined (0018,0015).
    #[schema(value_type = Option<values::Label>)]
    body_part: Option<String>,
    /// Modality (0008,0060).
    #[schema(value_type = Option<values::OptionalModalityCode>)]
    modality_code: Option<String>,
    /// Number of instances, including unlisted ones.
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Count>)]
    number_of_instances: Option<i64>,
    /// Series Description (0008,103E).
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// A new instance of a series.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInstance)]
pub(crate) struct InstanceBody {
    /// Series of the instance.
    #[schema(required, value_type = Uuid)]
    imaging_series_id: Option<Uuid>,
    /// SOP Instance UID (0008,0018); must be unique within the series.
    #[schema(required, value_type = values::Uid)]
    sop_instance_uid: Option<String>,
    /// SOP Class UID (0008,0016).
    #[schema(value_type = Option<values::OptionalUid>)]
    sop_class_uid: Option<String>,
    /// Instance Number (0020,0013).
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Integer>)]
    instance_number: Option<i64>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a study. Omitted members are kept; `null` removes an optional member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyChanges {
    /// archived; cannot be undone.
    #[serde(default)]
    #[schema(value_type = values::StudyStatus, required = false)]
    status: Change<String>,
    /// Number of series, including unlisted ones.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = values::Count, required = false)]
    number_of_series: Change<i64>,
    /// Number of instances, including unlisted ones.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = values::Count, required = false)]
    number_of_instances: Change<i64>,
    /// End of the study.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalTime>)]
    ended_at: Change<String>,
    /// Viewer URL, without a token.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalHttpUrl>)]
    viewer_url: Change<String>,
    /// Order that the study fulfils; must exist and belong to the same patient. Resolves a link conflict; `null` does
    /// so, too, and unlinks the study.
    #[serde(default, deserialize_with = "validation::id_change")]
    #[schema(value_type = Option<values::OptionalId>)]
    imaging_order_id: Change<Uuid>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for SyncBody {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for SeriesBody {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for InstanceBody {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for StudyChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl SyncBody {
    /// Returns the sync, and the times as sent; a time that cannot be stored is left out of the sync.
    pub(super) fn parse(self) -> Result<(SyncStudy, ReportedTimes), Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/pacs_endpoint_code", self.pacs_endpoint_code);
        let code = fields.parse("/pacs_endpoint_code", code, |text| {
            PacsEndpointCode::parse(&text)
        });
        let uid = required_uid(&mut fields, "/study_instance_uid", self.study_instance_uid);
        let patient_id = fields.required("/patient_id", self.patient_id);
        let modality = fields.required("/modality_code", self.modality_code);
        let modality = fields.parse("/modality_code", modality, |text| {
            ModalityCode::parse(&text)
        });
        let accession_number = fields.optional(
            "/accession_number",
            self.accession_number,
            AccessionNumber::parse,
        );
        let description = fields.optional_text("/description", self.description);
        let body_part = fields.optional("/body_part", self.body_part, BodyPart::parse);
        let times = ReportedTimes {
            started_at: fields.optional("/started_at", self.started_at, ParsedTime::parse),
            ended_at: fields.optional("/ended_at", self.ended_at, ParsedTime::parse),
        };
        let patient = fields.patient(self.patient);
        let series = synced(&mut fields, self.series.unwrap_or_default().0);
        let needed = code.zip(uid).zip(patient_id).zip(modality);
        let sync = needed.map(|(((code, uid), patient_id), modality)| SyncStudy {
            pacs_endpoint_code: code,
            study_instance_uid: uid,
            patient_id: PatientId::from(patient_id),
            modality_code: modality,
            accession_number,
            description,
            body_part,
            started_at: times.started_at.and_then(ParsedTime::held),
            ended_at: times.ended_at.and_then(ParsedTime::held),
            imaging_order_id: self.imaging_order_id.map(OrderId::from),
            patient,
            series,
        });
        fields.finish(sync.map(|sync| (sync, times)))
    }
}

/// Parses the series of a sync. Pointers are only built for errors, because there may be thousands of instances.
fn synced(
    fields: &mut BodyValidator,
    series: Vec<JsonObject<SyncedSeriesBody>>,
) -> Vec<SyncedSeries> {
    let parsed = series
        .into_iter()
        .enumerate()
        .filter_map(|(n, JsonObject(body))| {
            let mut own = BodyValidator::default();
            let series = body.parse(&mut own);
            fields.nest(|| format!("/series/{n}"), own);
            series
        });
    parsed.collect()
}

impl SyncedSeriesBody {
    fn parse(self, fields: &mut BodyValidator) -> Option<SyncedSeries> {
        let listed = self.instances.unwrap_or_default().0;
        let mut instances = Vec::with_capacity(listed.len());
        for (n, JsonObject(body)) in listed.into_iter().enumerate() {
            let mut own = BodyValidator::default();
            instances.extend(body.parse(&mut own));
            fields.nest(|| format!("/instances/{n}"), own);
        }
        let facts = series_facts(
            fields,
            SeriesBody {
                imaging_study_id: None,
                series_instance_uid: self.series_instance_uid,
                series_number: self.series_number,
                body_part: self.body_part,
                modality_code: self.modality_code,
                number_of_instances: self.number_of_instances,
                description: self.description,
                tenant_id: None,
            },
        )?;
        Some(SyncedSeries { facts, instances })
    }
}

impl SyncedInstanceBody {
    fn parse(self, fields: &mut BodyValidator) -> Option<InstanceAttributes> {
        let uid = required_uid(fields, "/sop_instance_uid", self.sop_instance_uid);
        let sop_class_uid = fields.optional("/sop_class_uid", self.sop_class_uid, Uid::parse);
        let instance_number = fields.parse("/instance_number", self.instance_number, number);
        Some(InstanceAttributes {
            sop_instance_uid: uid?,
            sop_class_uid,
            instance_number,
        })
    }
}

impl SeriesBody {
    pub(crate) fn parse(self) -> Result<(StudyId, SeriesAttributes), Problem> {
        let mut fields = BodyValidator::default();
        let study = fields.required("/imaging_study_id", self.imaging_study_id);
        let facts = series_facts(&mut fields, self);
        fields.finish(study.map(StudyId::from).zip(facts))
    }
}

impl InstanceBody {
    pub(crate) fn parse(self) -> Result<(Uuid, InstanceAttributes), Problem> {
        let mut fields = BodyValidator::default();
        let series = fields.required("/imaging_series_id", self.imaging_series_id);
        let instance = SyncedInstanceBody {
            sop_instance_uid: self.sop_instance_uid,
            sop_class_uid: self.sop_class_uid,
            instance_number: self.instance_number,
        };
        let facts = instance.parse(&mut fields);
        fields.finish(series.zip(facts))
    }
}

fn series_facts(fields: &mut BodyValidator, body: SeriesBody) -> Option<SeriesAttributes> {
    let uid = required_uid(fields, "/series_instance_uid", body.series_instance_uid);
    let series_number = fields.parse("/series_number", body.series_number, number);
    let body_part = fields.optional("/body_part", body.body_part, BodyPart::parse);
    let modality_code = fields.optional("/modality_code", body.modality_code, ModalityCode::parse);
    let stated = fields.parse("/number_of_instances", body.number_of_instances, count);
    let description = fields.optional_text("/description", body.description);
    Some(SeriesAttributes {
        series_instance_uid: uid?,
        series_number,
        body_part,
        modality_code,
        number_of_instances: stated,
        description,
    })
}

impl StudyChanges {
    pub(super) fn parse(self, id: StudyId) -> Result<UpdateStudy, Problem> {
        let mut fields = BodyValidator::default();
        let status = fields.kept("/status", self.status);
        let series = fields.kept("/number_of_series", self.number_of_series);
        let instances = fields.kept("/number_of_instances", self.number_of_instances);
        let update = Update {
            status: fields.enum_value("/status", status, Status::parse, Status::NAMES),
            number_of_series: fields.parse("/number_of_series", series, count),
            number_of_instances: fields.parse("/number_of_instances", instances, count),
            ended_at: fields.change_from_text("/ended_at", self.ended_at, str::parse),
            viewer_url: fields.change_from_text(
                "/viewer_url",
                self.viewer_url,
                HttpUrl::parse_without_token,
            ),
            order: Change::Keep,
        };
        fields.finish(Some(UpdateStudy {
            id,
            update,
            imaging_order_id: self.imaging_order_id.map(OrderId::from),
        }))
    }
}

fn required_uid(fields: &mut BodyValidator, pointer: &str, uid: Option<String>) -> Option<Uid> {
    let uid = fields.required(pointer, uid);
    fields.parse(pointer, uid, |text| Uid::parse(&text))
}

/// Parses a DICOM Integer String (PS3.5, VR IS), which has 32 bits.
fn number(number: i64) -> Result<i32, impl Display> {
    i32::try_from(number).map_err(|_| "must be a 32-bit integer")
}

fn count(number: i64) -> Result<u32, impl Display> {
    let count = i32::try_from(number).and_then(u32::try_from);
    count.map_err(|_| "must be 0 to 2147483647")
}
