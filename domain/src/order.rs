//! `ImagingOrder`: a clinician's request for an examination (FHIR ServiceRequest).
//!
//! ```text
//! (none) --Create--> requested --> scheduled --> in_progress --> completed
//!                        |             |              |
//!                        +-------------+--------------+-------> cancelled
//! ```
//!
//! Forward steps may be skipped, none goes back; completed and cancelled are final. The id is derived from the
//! accession number, so that a number is taken once and a study finds its order without a search.

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

/// An order as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Patient.
    pub patient_id: PatientId,
    /// What is ordered, by whom and for when.
    #[serde(flatten)]
    pub request: OrderDetails,
    /// The slot it is booked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_slot_id: Option<SlotId>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// `None` where it is sealed or erased.
    #[serde(skip)]
    pub phi: Option<OrderPhi>,
}

/// What an order says from its first day on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderDetails {
    /// The visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter_id: Option<EncounterId>,
    /// Episode of care.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_id: Option<EpisodeId>,
    /// Who ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// Which department ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_department_id: Option<DepartmentId>,
    /// What is to be done.
    pub imaging_procedure_id: ProcedureId,
    /// The procedure's code as it was.
    pub procedure_code: ProcedureCode,
    /// The procedure's name as it was.
    pub procedure_name: Text,
    /// The modality's code as it was.
    pub modality_code: ModalityCode,
    /// How soon.
    pub priority: Priority,
    /// When it was ordered.
    pub requested_at: Timestamp,
    /// Names the order to scanners and PACS.
    pub accession_number: AccessionNumber,
    /// The id of the FHIR ServiceRequest that this order is.
    pub fhir_service_request_id: OrderId,
}

/// How soon, in rising order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In its turn.
    #[default]
    Routine,
    /// Before the routine ones.
    Urgent,
    /// Now.
    Stat,
}

/// How far an order is, with the clinical times that belong to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Ordered.
    Requested,
    /// Booked.
    Scheduled,
    /// The patient is on the table.
    InProgress {
        /// Since when.
        performed_start_at: Timestamp,
    },
    /// Done.
    Completed {
        /// From when, where it was told.
        #[serde(skip_serializing_if = "Option::is_none")]
        performed_start_at: Option<Timestamp>,
        /// Until when.
        performed_end_at: Timestamp,
    },
    /// Called off.
    Cancelled {
        /// When it had been begun, where it had.
        #[serde(skip_serializing_if = "Option::is_none")]
        performed_start_at: Option<Timestamp>,
    },
}

/// The name of a [`Lifecycle`], in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Ordered.
    Requested,
    /// Booked.
    Scheduled,
    /// The patient is on the table.
    InProgress,
    /// Done: final.
    Completed,
    /// Called off: final.
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
    /// Why it is ordered.
    pub indication: PhiText,
    /// Who the patient is, where the ordering system said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
    /// Client-defined JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Why it was called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<PhiText>,
}

/// What may be asked of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Orders an examination.
    Create(Box<NewOrder>),
    /// Moves it on, and changes what is given.
    Update(Box<Update>),
}

/// A new order. The procedure's words are those of the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    /// Patient.
    pub patient_id: PatientId,
    /// What, by whom and for when.
    pub request: OrderDetails,
    /// Its PHI.
    pub phi: CreatedPhi,
}

/// A change to an order. What is not said stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Where it is to be.
    pub status: Option<Status>,
    /// Its slot.
    pub scheduled_slot_id: Change<SlotId>,
    /// When it was begun; only for an order that is, or becomes, in progress or completed, and not to be taken away.
    pub performed_start_at: Change<Timestamp>,
    /// When it was ended; only with `completed`, and not to be taken away.
    pub performed_end_at: Change<Timestamp>,
    /// Why; only with `cancelled`, and not to be taken away.
    pub cancellation_reason: Change<PhiText>,
    /// A merge patch (RFC 7396) of the client's own object.
    pub metadata: Change<Metadata>,
}

/// Why an order refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The accession number is taken.
    #[error("an order with this accession number already exists")]
    AlreadyExists,
    /// There is none.
    #[error("order not found")]
    NotFound,
    /// Completed or cancelled.
    #[error("order is {status}, a final status")]
    Final {
        /// What it is.
        status: Status,
    },
    /// None goes back.
    #[error("order status cannot change from {from} to {to}")]
    InvalidTransition {
        /// What it is.
        from: Status,
        /// What was asked.
        to: Status,
    },
    /// Start is not after end.
    #[error("performed_start_at must not be after performed_end_at")]
    StartAfterEnd,
    /// A start without progress.
    #[error("performed_start_at is allowed only with status in_progress or completed")]
    StartWithoutProgress,
    /// An end without completion.
    #[error("performed_end_at is allowed only with status completed")]
    EndWithoutCompletion,
    /// A reason without cancellation.
    #[error("cancellation_reason is allowed only with status cancelled")]
    ReasonWithoutCancellation,
    /// An order in progress has a start.
    #[error("performed_start_at cannot be taken away")]
    StartTakenAway,
    /// A completed order has an end.
    #[error("performed_end_at cannot be taken away")]
    EndTakenAway,
    /// The client's own object would be what cannot be kept.
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

    /// Each step of an order is taken once.
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
    /// The order's id.
    pub fn id(&self) -> OrderId {
        self.request.fhir_service_request_id
    }

    /// When the examination was ended, where it was.
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
    /// Its name.
    pub fn status(&self) -> Status {
        match self {
            Self::Requested => Status::Requested,
            Self::Scheduled => Status::Scheduled,
            Self::InProgress { .. } => Status::InProgress,
            Self::Completed { .. } => Status::Completed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When the examination was begun, where it was.
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
    /// Completed and cancelled are final.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled => true,
            Self::Requested | Self::Scheduled | Self::InProgress => false,
        }
    }
}

#[cfg(test)]
mod tests;
