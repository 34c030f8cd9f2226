//! Events of an order and their effect on its state.

use serde::{Deserialize, Serialize};

use super::{Lifecycle, Order, OrderDetails, OrderPhi, Status};
use crate::aggregate::{DomainEvent, UnexpectedEvent};
use crate::change::Change;
use crate::ids::{OrderId, PatientId, SlotId};
use crate::phi::{Metadata, Patient, PhiText};
use crate::time::Timestamp;
use crate::{domain_events, event_data_with_phi, event_data_without_phi};

domain_events! {
    /// Events of an order.
    pub enum Event {
        /// The order was placed.
        Created(Box<Created>) = "ImagingOrder.Created" v 1,
        /// The examination was booked.
        Scheduled(Scheduled) = "ImagingOrder.Scheduled" v 1,
        /// The examination started.
        InProgress(InProgress) = "ImagingOrder.InProgress" v 1,
        /// The examination was completed.
        Completed(Completed) = "ImagingOrder.Completed" v 1,
        /// The order was cancelled.
        Cancelled(Cancelled) = "ImagingOrder.Cancelled" v 1,
        /// Other members changed.
        DetailsUpdated(DetailsUpdated) = "ImagingOrder.DetailsUpdated" v 2,
    }
}

/// `ImagingOrder.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// Ordered procedure, requester, priority and time.
    #[serde(flatten)]
    pub request: OrderDetails,
    /// `requested`, the initial status of every order.
    pub status: Status,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<CreatedPhi>,
}

/// The PHI of `ImagingOrder.Created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreatedPhi {
    /// Indication of the examination.
    pub indication: PhiText,
    /// Patient demographics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
    /// Client-defined JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// `ImagingOrder.Scheduled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// The booked slot, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_slot_id: Option<SlotId>,
}

/// `ImagingOrder.InProgress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InProgress {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// Start of the examination.
    pub performed_start_at: Timestamp,
}

/// `ImagingOrder.Completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// Start of the examination, if reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performed_start_at: Option<Timestamp>,
    /// End of the examination.
    pub performed_end_at: Timestamp,
}

/// `ImagingOrder.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<CancelledPhi>,
}

/// The PHI of `ImagingOrder.Cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelledPhi {
    /// Reason of the cancellation.
    pub cancellation_reason: PhiText,
}

/// `ImagingOrder.DetailsUpdated`: changes other than the status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetailsUpdated {
    /// Order id.
    pub order_id: OrderId,
    /// Patient.
    pub patient_id: PatientId,
    /// New slot.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub scheduled_slot_id: Change<SlotId>,
    /// Corrected start of the examination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performed_start_at: Option<Timestamp>,
    /// Sealed at rest.
    #[serde(skip)]
    pub phi: Option<DetailsPhi>,
}

/// The PHI of `ImagingOrder.DetailsUpdated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetailsPhi {
    /// Client-defined JSON object; replaces the stored value.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub metadata: Change<Metadata>,
}

event_data_with_phi!(Created, Cancelled, DetailsUpdated);
event_data_without_phi!(Scheduled, InProgress, Completed);

pub(super) fn evolve(state: Option<Order>, event: Event) -> Result<Order, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    match (state, event) {
        (None, Event::Created(created)) => Ok(created.into()),
        (Some(order), Event::Scheduled(data)) => Ok(scheduled(order, data)),
        (Some(order), Event::InProgress(data)) => Ok(Order {
            progress: Lifecycle::InProgress {
                performed_start_at: data.performed_start_at,
            },
            ..order
        }),
        (Some(order), Event::Completed(data)) => Ok(completed(order, &data)),
        (Some(order), Event::Cancelled(data)) => Ok(cancelled(order, data)),
        (Some(order), Event::DetailsUpdated(updated)) => Ok(details_updated(order, updated)),
        (Some(_), Event::Created(_))
        | (
            None,
            Event::Scheduled(_)
            | Event::InProgress(_)
            | Event::Completed(_)
            | Event::Cancelled(_)
            | Event::DetailsUpdated(_),
        ) => Err(misplaced),
    }
}

impl From<Box<Created>> for Order {
    fn from(created: Box<Created>) -> Self {
        let Created {
            patient_id,
            request,
            phi,
            ..
        } = *created;
        let phi = phi.map(|phi| OrderPhi {
            indication: phi.indication,
            patient: phi.patient,
            metadata: phi.metadata,
            cancellation_reason: None,
        });
        Self {
            patient_id,
            request,
            scheduled_slot_id: None,
            progress: Lifecycle::Requested,
            phi,
        }
    }
}

fn scheduled(order: Order, scheduled: Scheduled) -> Order {
    Order {
        scheduled_slot_id: scheduled.scheduled_slot_id.or(order.scheduled_slot_id),
        progress: Lifecycle::Scheduled,
        ..order
    }
}

fn completed(order: Order, completed: &Completed) -> Order {
    let performed_start_at = completed
        .performed_start_at
        .or(order.progress.performed_start_at());
    let progress = Lifecycle::Completed {
        performed_start_at,
        performed_end_at: completed.performed_end_at,
    };
    Order { progress, ..order }
}

fn cancelled(mut order: Order, cancelled: Cancelled) -> Order {
    if let (Some(phi), Some(told)) = (order.phi.as_mut(), cancelled.phi) {
        phi.cancellation_reason = Some(told.cancellation_reason);
    }
    let performed_start_at = order.progress.performed_start_at();
    Order {
        progress: Lifecycle::Cancelled { performed_start_at },
        ..order
    }
}

fn details_updated(mut order: Order, updated: DetailsUpdated) -> Order {
    if let (Some(phi), Some(told)) = (order.phi.as_mut(), updated.phi) {
        phi.metadata = told.metadata.apply(phi.metadata.take());
    }
    if let (Lifecycle::InProgress { performed_start_at }, Some(start)) =
        (&mut order.progress, updated.performed_start_at)
    {
        *performed_start_at = start;
    }
    Order {
        scheduled_slot_id: updated.scheduled_slot_id.apply(order.scheduled_slot_id),
        ..order
    }
}
