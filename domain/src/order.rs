//! `ImagingOrder`: a clinician's request for an examination (FHIR ServiceRequest).
//!
//! ```text
//! (none) --Create--> requested --> scheduled --> in_progress --> completed
//!                        |             |              |
//!                        +-------------+--------------+-------> cancelled
//! ```
//!
//! Forward steps may be skipped and no step goes backward; completed and cancelled are final. The id is derived from
//! the accession number, so each number is unique and a study finds its order without a search.

mod decide;
mod events;

use serde::{Deserialize, Serialize};

pub use events::{
    Cancelled, CancelledPhi, Completed, Created, CreatedPhi, DetailsPhi, DetailsUpdated, Event,
    InProgress, Scheduled,
};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::change::Change;
use crate::codes::{ModalityCode, ProcedureCode};
use crate::dicom::AccessionNumber;
use crate::growth::StreamBudget;
use crate::ids::{
    DepartmentId, EncounterId, EpisodeId, OrderId, PatientId, PractitionerId, ProcedureId, SlotId,
};
use crate::json::{JsonLimitError, Members, members_of};
use crate::phi::{Metadata, Patient, Phi, PhiText};
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire_enum;

/// Current state of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Patient.
    pub patient_id: PatientId,
    /// Ordered procedure, requester, priority and time.
    #[serde(flatten)]
    pub request: OrderDetails,
    /// The booked slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_slot_id: Option<SlotId>,
    /// Status of the order.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// `None` if the PHI is sealed or erased.
    #[serde(skip)]
    pub phi: Option<OrderPhi>,
}

/// Order data that is set at creation and never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderDetails {
    /// Encounter (visit).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter_id: Option<EncounterId>,
    /// Episode of care.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_id: Option<EpisodeId>,
    /// The ordering practitioner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// The ordering department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_department_id: Option<DepartmentId>,
    /// The ordered procedure.
    pub imaging_procedure_id: ProcedureId,
    /// Code of the procedure at the time of the order.
    pub procedure_code: ProcedureCode,
    /// Name of the procedure at the time of the order.
    pub procedure_name: Text,
    /// Code of the modality at the time of the order.
    pub modality_code: ModalityCode,
    /// Priority.
    pub priority: Priority,
    /// Time of the order.
    pub requested_at: Timestamp,
    /// Identifies the order to scanners and PACS.
    pub accession_number: AccessionNumber,
    /// Id of the FHIR ServiceRequest, which is this order.
    pub fhir_service_request_id: OrderId,
}

/// Priority, in ascending order of urgency.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Handled in normal order.
    #[default]
    Routine,
    /// Handled before routine orders.
    Urgent,
    /// Handled immediately.
    Stat,
}

/// Status of an order, with the clinical times that belong to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// The order was placed.
    Requested,
    /// The examination is booked.
    Scheduled,
    /// The examination is in progress.
    InProgress {
        /// Start of the examination.
        performed_start_at: Timestamp,
    },
    /// The examination is complete.
    Completed {
        /// Start of the examination, if reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        performed_start_at: Option<Timestamp>,
        /// End of the examination.
        performed_end_at: Timestamp,
    },
    /// The order is cancelled.
    Cancelled {
        /// Start of the examination, if it had started.
        #[serde(skip_serializing_if = "Option::is_none")]
        performed_start_at: Option<Timestamp>,
    },
}

/// Name of a [`Lifecycle`] state, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The order was placed.
    Requested,
    /// The examination is booked.
    Scheduled,
    /// The examination is in progress.
    InProgress,
    /// The examination is complete. Final.
    Completed,
    /// The order is cancelled. Final.
    Cancelled,
}

wire_enum! {
    Priority: Routine = "routine", Urgent = "urgent", Stat = "stat";
    Status: Requested = "requested", Scheduled = "scheduled", InProgress = "in_progress",
        Completed = "completed", Cancelled = "cancelled";
}

/// The PHI members of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderPhi {
    /// Indication of the examination.
    pub indication: PhiText,
    /// Patient demographics, if the ordering system sent them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
    /// Client-defined JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Reason of the cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<PhiText>,
}

/// Commands of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Creates an order for an examination.
    Create(Box<NewOrder>),
    /// Changes the status and the given members.
    Update(Box<Update>),
}

/// A new order, with the procedure's code and name at the time of the order.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    /// Patient.
    pub patient_id: PatientId,
    /// Ordered procedure, requester, priority and time.
    pub request: OrderDetails,
    /// PHI of the order.
    pub phi: CreatedPhi,
}

/// Members to change. An omitted member is unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Target status.
    pub status: Option<Status>,
    /// Booked slot.
    pub scheduled_slot_id: Change<SlotId>,
    /// Start of the examination. Allowed only if the order is, or becomes, in progress or completed; cannot be removed.
    pub performed_start_at: Change<Timestamp>,
    /// End of the examination. Allowed only with `completed`; cannot be removed.
    pub performed_end_at: Change<Timestamp>,
    /// Reason of the cancellation. Allowed only with `cancelled`; cannot be removed.
    pub cancellation_reason: Change<PhiText>,
    /// A merge patch (RFC 7396) of the client-defined object.
    pub metadata: Change<Metadata>,
}

/// Reasons why a command of an order is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The accession number already exists.
    #[error("an order with this accession number already exists")]
    AlreadyExists,
    /// The order does not exist.
    #[error("order not found")]
    NotFound,
    /// The order is completed or cancelled.
    #[error("order is {status}, a final status")]
    Final {
        /// Current status.
        status: Status,
    },
    /// A backward transition.
    #[error("order status cannot change from {from} to {to}")]
    InvalidTransition {
        /// Current status.
        from: Status,
        /// Requested status.
        to: Status,
    },
    /// The start is after the end.
    #[error("performed_start_at must not be after performed_end_at")]
    StartAfterEnd,
    /// A start without status in progress or completed.
    #[error("performed_start_at is allowed only with status in_progress or completed")]
    StartWithoutProgress,
    /// An end without status completed.
    #[error("performed_end_at is allowed only with status completed")]
    EndWithoutCompletion,
    /// A reason without status cancelled.
    #[error("cancellation_reason is allowed only with status cancelled")]
    ReasonWithoutCancellation,
    /// An order in progress must have a start.
    #[error("performed_start_at cannot be taken away")]
    StartTakenAway,
    /// A completed order must have an end.
    #[error("performed_end_at cannot be taken away")]
    EndTakenAway,
    /// After the change, the client-defined object could not be stored.
    #[error("after the change, metadata {0}")]
    Metadata(JsonLimitError),
}

impl Aggregate for Order {
    const STREAM_TYPE: &'static str = "ImagingOrder";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Create(new)) => Ok(vec![decide::create(*new, context)]),
            (Some(_), Command::Create(_)) => Err(Error::AlreadyExists),
            (Some(order), Command::Update(update)) => decide::update(order, *update, context),
            (None, Command::Update(_)) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        events::evolve(state, event)
    }

    fn phi(&self) -> Option<Phi<Members>> {
        self.phi.as_ref().map(|phi| Phi::new(members_of(phi)))
    }

    fn patient_id(&self) -> Option<PatientId> {
        Some(self.patient_id)
    }

    /// Unbounded for a change of status: an order takes each step once.
    fn room(state: Option<&Self>, command: &Command) -> StreamBudget {
        let current = state.map(|order| order.progress.status());
        match command {
            Command::Update(update) if update.status.is_some() && update.status != current => {
                StreamBudget::Unbounded
            }
            Command::Create(_) | Command::Update(_) => StreamBudget::Bounded,
        }
    }
}

impl Order {
    /// Returns the order id.
    pub fn id(&self) -> OrderId {
        self.request.fhir_service_request_id
    }

    /// Returns the end of the examination, if it has ended.
    pub fn performed_end_at(&self) -> Option<Timestamp> {
        match self.progress {
            Lifecycle::Completed {
                performed_end_at, ..
            } => Some(performed_end_at),
            Lifecycle::Requested
            | Lifecycle::Scheduled
            | Lifecycle::InProgress { .. }
            | Lifecycle::Cancelled { .. } => None,
        }
    }
}

impl Lifecycle {
    /// Returns the status.
    pub fn status(&self) -> Status {
        match self {
            Self::Requested => Status::Requested,
            Self::Scheduled => Status::Scheduled,
            Self::InProgress { .. } => Status::InProgress,
            Self::Completed { .. } => Status::Completed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// Returns the start of the examination, if it has started.
    pub fn performed_start_at(&self) -> Option<Timestamp> {
        match self {
            Self::Requested | Self::Scheduled => None,
            Self::InProgress { performed_start_at } => Some(*performed_start_at),
            Self::Completed {
                performed_start_at, ..
            }
            | Self::Cancelled { performed_start_at } => *performed_start_at,
        }
    }
}

impl Status {
    /// Returns whether the status is completed or cancelled.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled => true,
            Self::Requested | Self::Scheduled | Self::InProgress => false,
        }
    }
}

#[cfg(test)]
mod tests;
