//! Events of a worklist item, and their application to its state.

use serde::{Deserialize, Serialize};

use super::{
    AiContribution, Assignment, Attention, CaseDetails, Lifecycle, Priority, Status, Triage,
    WorklistItem,
};
use crate::aggregate::{DomainEvent, UnexpectedEvent};
use crate::change::Change;
use crate::ids::{OrderId, PatientId, PractitionerId, StudyId, WorklistItemId};
use crate::phi::Patient;
use crate::time::Timestamp;
use crate::{domain_events, event_data_with_phi, event_data_without_phi, wire_enum};

domain_events! {
    /// Events of a worklist item.
    pub enum Event {
        /// Study put on the worklist, or a cancelled item recreated.
        Created(Box<Created>) = "RadiologyWorklistItem.Created" v 1,
        /// Claimed by a radiologist.
        Claimed(Claimed) = "RadiologyWorklistItem.Claimed" v 1,
        /// Released.
        Released(Released) = "RadiologyWorklistItem.Released" v 1,
        /// Other changes.
        Updated(Box<Updated>) = "RadiologyWorklistItem.Updated" v 2,
    }
}

/// `RadiologyWorklistItem.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Item id.
    pub worklist_item_id: WorklistItemId,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Case attributes from the study.
    #[serde(flatten)]
    pub case: CaseDetails,
    /// Priority.
    pub priority: Priority,
    /// `pending` for every new item.
    pub status: Status,
    /// Time of the creation.
    pub last_activity_at: Timestamp,
    /// Attention flags known at creation.
    pub attention: Vec<Attention>,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<CreatedPhi>,
}

/// The PHI of `RadiologyWorklistItem.Created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedPhi {
    /// Patient demographics.
    pub patient: Patient,
}

/// `RadiologyWorklistItem.Claimed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Item id.
    pub worklist_item_id: WorklistItemId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Claiming radiologist.
    pub radiologist_id: PractitionerId,
    /// Time of the claim.
    pub claimed_at: Timestamp,
    /// Assigning user, if not the radiologist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_by: Option<String>,
}

/// `RadiologyWorklistItem.Released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Item id.
    pub worklist_item_id: WorklistItemId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// Radiologist who held the item.
    pub radiologist_id: PractitionerId,
    /// Reason of the release.
    pub reason: ReleaseReason,
}

/// Reason of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Released by the holder.
    ByRadiologist,
    /// Released by another user.
    ByAdmin,
    /// Released because the claim was idle.
    Idle,
}

wire_enum! {
    ReleaseReason: ByRadiologist = "by_radiologist", ByAdmin = "by_admin", Idle = "idle";
}

/// `RadiologyWorklistItem.Updated`: changed members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Item id.
    pub worklist_item_id: WorklistItemId,
    /// Study.
    pub imaging_study_id: StudyId,
    /// New status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// New priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// New contribution of an AI model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_contribution: Option<AiContribution>,
    /// All attention flags after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<Attention>>,
    /// Order that the study fulfils.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub imaging_order_id: Change<OrderId>,
    /// Time of the event, if the holder caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<Timestamp>,
}

event_data_with_phi!(Created);
event_data_without_phi!(Claimed, Released, Updated);

pub(super) fn evolve(
    state: Option<WorklistItem>,
    event: Event,
) -> Result<WorklistItem, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    match (state, event) {
        (None, Event::Created(data)) => Ok(created(*data, None)),
        (Some(item), Event::Created(data)) if item.progress == Lifecycle::Cancelled => {
            Ok(created(*data, Some(item)))
        }
        (Some(item), Event::Claimed(data)) => Ok(claimed(item, &data)),
        (Some(item), Event::Released(_)) => Ok(WorklistItem {
            progress: Lifecycle::Pending,
            ..item
        }),
        (Some(item), Event::Updated(data)) => updated(item, *data).ok_or(misplaced),
        (Some(_), Event::Created(_))
        | (None, Event::Claimed(_) | Event::Released(_) | Event::Updated(_)) => Err(misplaced),
    }
}

/// Applies a creation. A recreated item retains the contributions of models and the patient demographics.
fn created(created: Created, before: Option<WorklistItem>) -> WorklistItem {
    let (triage, phi) = before.map_or((Triage::default(), None), |item| (item.triage, item.phi));
    WorklistItem {
        patient_id: created.patient_id,
        case: created.case,
        priority: created.priority,
        progress: Lifecycle::Pending,
        last_activity_at: created.last_activity_at,
        triage,
        attention: created.attention,
        phi: created.phi.or(phi),
    }
}

fn claimed(item: WorklistItem, claimed: &Claimed) -> WorklistItem {
    let holding = Assignment {
        assigned_radiologist_id: claimed.radiologist_id,
        claimed_at: claimed.claimed_at,
    };
    WorklistItem {
        progress: Lifecycle::Claimed(holding),
        last_activity_at: claimed.claimed_at,
        ..item
    }
}

fn updated(item: WorklistItem, updated: Updated) -> Option<WorklistItem> {
    let progress = match updated.status {
        Some(status) => lifecycle_for(&item, status)?,
        None => item.progress,
    };
    let case = CaseDetails {
        imaging_order_id: updated.imaging_order_id.apply(item.case.imaging_order_id),
        ..item.case
    };
    let triage = match updated.ai_contribution {
        Some(part) => item.triage.with(part),
        None => item.triage,
    };
    Some(WorklistItem {
        case,
        progress,
        triage,
        priority: updated.priority.unwrap_or(item.priority),
        attention: updated.attention.unwrap_or(item.attention),
        last_activity_at: updated.last_activity_at.unwrap_or(item.last_activity_at),
        ..item
    })
}

/// Returns the lifecycle state for a status; `None` if the status needs a holder and the item has none.
fn lifecycle_for(item: &WorklistItem, status: Status) -> Option<Lifecycle> {
    let holding = item.assignment();
    match status {
        Status::Pending => Some(Lifecycle::Pending),
        Status::Claimed => holding.map(Lifecycle::Claimed),
        Status::InProgress => holding.map(Lifecycle::InProgress),
        Status::Completed => Some(Lifecycle::Completed {
            assigned_radiologist_id: holding.map(|assignment| assignment.assigned_radiologist_id),
            claimed_at: holding.map(|assignment| assignment.claimed_at),
        }),
        Status::Cancelled => Some(Lifecycle::Cancelled),
    }
}
