//! What may happen to a worklist item, and what becomes of it.

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
    /// What may happen to a worklist item.
    pub enum Event {
        /// A study was put on the worklist, or put there again.
        Created(Box<Created>) = "RadiologyWorklistItem.Created" v 1,
        /// A radiologist took it.
        Claimed(Claimed) = "RadiologyWorklistItem.Claimed" v 1,
        /// It was given back.
        Released(Released) = "RadiologyWorklistItem.Released" v 1,
        /// Something else about it changed.
        Updated(Box<Updated>) = "RadiologyWorklistItem.Updated" v 2,
    }
}

/// `RadiologyWorklistItem.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub worklist_item_id: WorklistItemId,
    /// Whose images are to be read.
    pub patient_id: PatientId,
    /// What is to be read.
    #[serde(flatten)]
    pub case: CaseDetails,
    /// How soon.
    pub priority: Priority,
    /// `pending`: every item begins so.
    pub status: Status,
    /// When it was put there.
    pub last_activity_at: Timestamp,
    /// What was known of it.
    pub attention: Vec<Attention>,
    /// Sealed at rest.
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
    /// Its id.
    pub worklist_item_id: WorklistItemId,
    /// The study.
    pub imaging_study_id: StudyId,
    /// Who took it.
    pub radiologist_id: PractitionerId,
    /// When.
    pub claimed_at: Timestamp,
    /// Who assigned it, where it was not the radiologist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_by: Option<String>,
}

/// `RadiologyWorklistItem.Released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Its id.
    pub worklist_item_id: WorklistItemId,
    /// The study.
    pub imaging_study_id: StudyId,
    /// Who held it.
    pub radiologist_id: PractitionerId,
    /// How it came.
    pub reason: ReleaseReason,
}

/// How a release came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Its holder gave it back.
    ByRadiologist,
    /// Somebody else took it away.
    ByAdmin,
    /// Nothing happened for too long.
    Idle,
}

wire_enum! {
    ReleaseReason: ByRadiologist = "by_radiologist", ByAdmin = "by_admin", Idle = "idle";
}

/// `RadiologyWorklistItem.Updated`: what changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Its id.
    pub worklist_item_id: WorklistItemId,
    /// The study.
    pub imaging_study_id: StudyId,
    /// Where it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// How soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// What a model says now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_contribution: Option<AiContribution>,
    /// All that a person should know now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<Attention>>,
    /// The order that it answers.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub imaging_order_id: Change<OrderId>,
    /// When, where it was its holder's doing.
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

/// An item that is created again keeps what models contributed, and whom it is about.
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

/// `None` where nobody holds what only a holder's item can be.
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
