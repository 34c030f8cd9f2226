//! Handlers of `/imaging/orders`.

use axum::extract::State;
use axum::response::Response;
use roentgen_commands::order::{CreateOrder, UpdateOrder};
use roentgen_domain::Change;
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{
    DepartmentId, EncounterId, EpisodeId, PatientId, PractitionerId, ProcedureId, SlotId,
};
use roentgen_domain::order::{CreatedPhi, Order, Priority, Status, Update};
use roentgen_projections::orders;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::authorization::Permission;
use crate::command_request::{CommandRequest, SuccessKind, TenantScopedBody};
use crate::openapi::{OrderDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, FreeObject, JsonObject, PatientBody};

const COLLECTION: &str = "/imaging/orders";

/// A new order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// Patient.
    #[schema(required, value_type = Uuid)]
    patient_id: Option<Uuid>,
    /// Encounter.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    encounter_id: Option<Uuid>,
    /// Episode of care.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    episode_id: Option<Uuid>,
    /// Ordering practitioner.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    ordering_practitioner_id: Option<Uuid>,
    /// Ordering department.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    ordering_department_id: Option<Uuid>,
    /// Procedure; must exist and be active.
    #[schema(required, value_type = Uuid)]
    imaging_procedure_id: Option<Uuid>,
    /// Clinical indication.
    #[schema(required, value_type = values::Prose, example = "rule out acute stroke")]
    indication: Option<String>,
    /// routine, urgent or stat; default routine.
    #[schema(value_type = Option<values::OptionalPriority>)]
    priority: Option<String>,
    /// Time of the request; default now.
    #[schema(value_type = Option<values::OptionalTime>)]
    requested_at: Option<String>,
    /// Accession number, at most 16 characters; generated if omitted.
    #[schema(value_type = Option<values::OptionalAccessionNumber>)]
    accession_number: Option<String>,
    /// Client-defined JSON object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<FreeObject>,
    /// Patient demographics.
    #[schema(value_type = Option<PatientBody>)]
    patient: Option<JsonObject<PatientBody>>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to an order. Omitted members are kept; `null` removes an optional member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderChanges {
    /// requested, scheduled, in_progress, completed or cancelled.
    #[serde(default)]
    #[schema(value_type = values::OrderStatus, required = false)]
    status: Change<String>,
    /// Scheduled slot.
    #[serde(default, deserialize_with = "validation::id_change")]
    #[schema(value_type = Option<values::OptionalId>)]
    scheduled_slot_id: Change<Uuid>,
    /// Start of the examination.
    #[serde(default)]
    #[schema(value_type = values::Time, required = false)]
    performed_start_at: Change<String>,
    /// End of the examination; only with status completed.
    #[serde(default)]
    #[schema(value_type = values::Time, required = false)]
    performed_end_at: Change<String>,
    /// Cancellation reason; only with status cancelled.
    #[serde(default)]
    #[schema(value_type = values::Prose, required = false)]
    cancellation_reason: Change<String>,
    /// Client-defined JSON object, as a merge patch (RFC 7396): nested objects are merged member by member.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Change<FreeObject>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewOrder {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for OrderChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl NewOrder {
    fn parse(self) -> Result<CreateOrder, Problem> {
        let mut fields = BodyValidator::default();
        let patient_id = fields.required("/patient_id", self.patient_id);
        let procedure_id = fields.required("/imaging_procedure_id", self.imaging_procedure_id);
        let indication = fields.required("/indication", self.indication);
        let indication = fields.phi_text("/indication", indication);
        let priority =
            fields.optional_word("/priority", self.priority, Priority::parse, Priority::NAMES);
        let requested_at = fields.optional_time("/requested_at", self.requested_at);
        let accession_number = fields.optional(
            "/accession_number",
            self.accession_number,
            AccessionNumber::parse,
        );
        let metadata = fields.metadata("/metadata", self.metadata);
        let patient = fields.patient(self.patient);
        let whole = patient_id.zip(procedure_id).zip(indication);
        fields.finish(
            whole.map(|((patient_id, procedure_id), indication)| CreateOrder {
                patient_id: PatientId::from(patient_id),
                encounter_id: self.encounter_id.map(EncounterId::from),
                episode_id: self.episode_id.map(EpisodeId::from),
                ordering_practitioner_id: self.ordering_practitioner_id.map(PractitionerId::from),
                ordering_department_id: self.ordering_department_id.map(DepartmentId::from),
                imaging_procedure_id: ProcedureId::from(procedure_id),
                priority: priority.unwrap_or_default(),
                requested_at,
                accession_number,
                phi: CreatedPhi {
                    indication,
                    patient,
                    metadata,
                },
            }),
        )
    }
}

impl OrderChanges {
    fn parse(self) -> Result<Update, Problem> {
        let mut fields = BodyValidator::default();
        let status = fields.kept("/status", self.status);
        let start = self.performed_start_at;
        let end = self.performed_end_at;
        let update = Update {
            status: fields.enum_value("/status", status, Status::parse, Status::NAMES),
            scheduled_slot_id: self.scheduled_slot_id.map(SlotId::from),
            performed_start_at: fields.change_from_text("/performed_start_at", start, str::parse),
            performed_end_at: fields.change_from_text("/performed_end_at", end, str::parse),
            cancellation_reason: fields
                .phi_change("/cancellation_reason", self.cancellation_reason),
            metadata: fields.metadata_change("/metadata", self.metadata),
        };
        fields.finish(Some(update))
    }
}

/// Creates an order.
#[utoipa::path(post, path = "/imaging/orders", request_body = NewOrder,
    responses((status = 201, body = OrderDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let order = call.body_as(NewOrder::parse).await?;
    call.run(&app, &order, SuccessKind::Created(COLLECTION))
        .await
}

/// Lists orders, newest first by `requested_at`.
#[utoipa::path(get, path = "/imaging/orders",
    params(("patient_id" = Option<Uuid>, Query), ("encounter_id" = Option<Uuid>, Query),
        ("accession_number" = Option<values::AccessionNumber>, Query), ("status" = Option<values::OrderStatus>, Query),
        ("priority" = Option<values::Priority>, Query), ("from_date" = Option<values::TimeOrDate>, Query),
        ("to_date" = Option<values::TimeOrDate>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [OrderDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let filters = orders::Filters {
        patient_id: query.take_uuid("patient_id")?,
        encounter_id: query.take_uuid("encounter_id")?,
        accession_number: query.take_parsed("accession_number", AccessionNumber::parse)?,
        status: query.take_enum("status", Status::parse, Status::NAMES)?,
        priority: query.take_enum("priority", Priority::parse, Priority::NAMES)?,
        from: query.take_from("from_date")?,
        to: query.take_to("to_date")?,
    };
    query.finish()?;
    read.list(
        &app,
        orders::page(read.tenant, &filters, page.after, page.limit),
    )
    .await
}

/// Returns an order.
#[utoipa::path(get, path = "/imaging/orders/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = OrderDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<Order>(&app, &orders::MODEL, id.into()).await
}

/// Returns the permissions that an update requires: one for cancelling, another for all other changes.
fn needed(update: &Update) -> &'static [Permission] {
    let cancels = update.status == Some(Status::Cancelled);
    let performs = !update.scheduled_slot_id.is_keep()
        || !update.performed_start_at.is_keep()
        || !update.performed_end_at.is_keep()
        || !update.metadata.is_keep();
    match (cancels, performs) {
        (true, false) => &[Permission::CancelOrders],
        (true, true) => &[Permission::CancelOrders, Permission::ProgressOrders],
        (false, _) => &[Permission::ProgressOrders],
    }
}

/// Updates the status or details of an order. Cancelling and progressing an order require different permissions.
#[utoipa::path(patch, path = "/imaging/orders/{id}",
    params(("id" = Uuid, Path)), request_body = OrderChanges,
    responses((status = 200, body = OrderDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let update = call.body_as(OrderChanges::parse).await?;
    for capability in needed(&update) {
        call.caller.require(*capability)?;
    }
    call.run(
        &app,
        &UpdateOrder {
            id: id.into(),
            update,
        },
        SuccessKind::Updated,
    )
    .await
}
