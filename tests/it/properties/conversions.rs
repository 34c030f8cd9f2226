//! Conversions between the small numbers of a trace and the program's commands and resources.

use anyhow::{Context as _, Result};
use roentgen_commands::catalog::{CreateEntry, UpdateEntry};
use roentgen_commands::order::{CreateOrder, UpdateOrder};
use roentgen_commands::procedure::CreateProcedure;
use roentgen_domain::codes::{ModalityCode, ProcedureCode};
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{ModalityId, OrderId, ProcedureId, TenantId};
use roentgen_domain::json::Json;
use roentgen_domain::modality::{self, Modality};
use roentgen_domain::order::{CreatedPhi, Order, Priority, Status, Update};
use roentgen_domain::phi::{MetadataObject, Phi};
use roentgen_domain::procedure::{self, Procedure};
use roentgen_domain::text::Text;
use roentgen_domain::{Aggregate, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::trace::{Change, NewOrder, Patch, Time};

fn text(kind: &str, number: u8) -> Result<Text> {
    Ok(Text::parse(format!("{kind} {number}"))?)
}

fn modality_code(code: u8) -> Result<ModalityCode> {
    Ok(ModalityCode::parse(&format!("M{code}"))?)
}

fn procedure_code(code: u8) -> Result<ProcedureCode> {
    Ok(ProcedureCode::parse(&format!("P{code}"))?)
}

pub(super) fn accession(number: u8) -> Result<AccessionNumber> {
    Ok(AccessionNumber::parse(&format!("A{number}"))?)
}

fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

fn metadata(number: u8) -> Result<Phi<MetadataObject>> {
    let object = Json::from_serializable(&json!({ "n": number }))?;
    Ok(Phi::new(MetadataObject::parse(&object)?))
}

fn time(time: Time) -> Option<Timestamp> {
    let (_, given) = Time::GIVEN.iter().find(|(value, _)| *value == time)?;
    given.parse().ok()
}

pub(super) fn new_modality(code: u8) -> Result<CreateEntry<Modality>> {
    Ok(CreateEntry(Modality {
        code: modality_code(code)?,
        name: text("name", 0)?,
        description: None,
        is_active: true,
    }))
}

pub(super) fn change_modality(
    tenant: TenantId,
    code: u8,
    change: &Change,
) -> Result<UpdateEntry<Modality>> {
    Ok(UpdateEntry {
        id: ModalityId::derive(tenant, &modality_code(code)?),
        update: modality::Changes {
            name: change.name.map(|name| text("name", name)).transpose()?,
            is_active: change.is_active,
            ..modality::Changes::default()
        },
    })
}

pub(super) fn new_procedure(tenant: TenantId, code: u8, modality: u8) -> Result<CreateProcedure> {
    Ok(CreateProcedure {
        code: procedure_code(code)?,
        name: text("name", 0)?,
        modality_id: ModalityId::derive(tenant, &modality_code(modality)?),
        details: procedure::Changes::default(),
    })
}

pub(super) fn change_procedure(
    tenant: TenantId,
    code: u8,
    change: &Change,
) -> Result<UpdateEntry<Procedure>> {
    Ok(UpdateEntry {
        id: ProcedureId::derive(tenant, &procedure_code(code)?),
        update: procedure::Changes {
            name: change.name.map(|name| text("name", name)).transpose()?,
            is_active: change.is_active,
            ..procedure::Changes::default()
        },
    })
}

pub(super) fn new_order(tenant: TenantId, new: &NewOrder) -> Result<CreateOrder> {
    let priority = if new.urgent {
        Priority::Urgent
    } else {
        Priority::Routine
    };
    Ok(CreateOrder {
        patient_id: uuid(new.patient).into(),
        encounter_id: None,
        episode_id: None,
        ordering_practitioner_id: None,
        ordering_department_id: None,
        imaging_procedure_id: ProcedureId::derive(tenant, &procedure_code(new.procedure)?),
        priority,
        requested_at: None,
        accession_number: new.accession.map(accession).transpose()?,
        phi: CreatedPhi {
            indication: Phi::new(text("indication", new.patient)?),
            patient: None,
            metadata: new.metadata.map(metadata).transpose()?,
        },
    })
}

pub(super) fn change_order(id: OrderId, patch: &Patch) -> Result<UpdateOrder> {
    let reason = patch
        .reason
        .map(|reason| text("reason", reason))
        .transpose()?;
    let update = Update {
        status: patch.status.and_then(Status::parse),
        scheduled_slot_id: patch.slot.map(|slot| uuid(slot).into()).into(),
        performed_start_at: patch.start.and_then(time).into(),
        performed_end_at: patch.end.and_then(time).into(),
        cancellation_reason: reason.map(Phi::new).into(),
        metadata: patch.metadata.map(metadata).transpose()?.into(),
    };
    Ok(UpdateOrder { id, update })
}

/// Resource in the model's form, without its version and an order's name.
pub(super) trait Shown: Aggregate {
    fn shown(&self) -> Result<Value>;
}

impl Shown for Modality {
    fn shown(&self) -> Result<Value> {
        Ok(json!({
            "code": number(self.code.as_str())?, "name": number(self.name.as_str())?,
            "modality": null, "is_active": self.is_active,
        }))
    }
}

impl Shown for Procedure {
    fn shown(&self) -> Result<Value> {
        Ok(json!({
            "code": number(self.code.as_str())?, "name": number(self.name.as_str())?,
            "modality": number(self.modality_code.as_str())?, "is_active": self.is_active,
        }))
    }
}

impl Shown for Order {
    fn shown(&self) -> Result<Value> {
        let open = serde_json::to_value(self)?;
        let phi = serde_json::to_value(self.phi().context("erased")?.expose())?;
        let request = &self.request;
        let id = |id: Option<Uuid>| id.map(|id| id.as_u128() as u64);
        let reason = phi.get("cancellation_reason").and_then(Value::as_str);
        let indication = phi.get("indication").and_then(Value::as_str);
        let patient = number(indication.context("no indication")?)?;
        anyhow::ensure!(self.patient_id == uuid(patient).into(), "another patient");
        Ok(json!({
            "status": open.get("status"), "slot": id(self.scheduled_slot_id.map(|id| id.as_uuid())),
            "start": named(open.get("performed_start_at")), "end": named(open.get("performed_end_at")),
            "reason": reason.map(number).transpose()?,
            "metadata": phi.get("metadata").map(|value| value.get("n")),
            "patient": patient, "urgent": request.priority == Priority::Urgent,
            "procedure": number(request.procedure_code.as_str())?,
            "procedure_name": number(request.procedure_name.as_str())?,
            "modality": number(request.modality_code.as_str())?,
        }))
    }
}

/// Returns the number at the end of a text.
fn number(text: &str) -> Result<u8> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    Ok(digits.parse()?)
}

/// Returns the name of a time; a time that no command contained is the current time.
fn named(time: Option<&Value>) -> Value {
    let Some(text) = time.and_then(Value::as_str) else {
        return Value::Null;
    };
    let given = Time::GIVEN.iter().find(|(_, value)| *value == text);
    format!("{:?}", given.map_or(Time::Now, |(time, _)| *time)).into()
}
