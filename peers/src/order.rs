//! A small order as a user of cqrs-es would write it: enough of `ImagingOrder` that the first event has about the same
//! size.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Order with the state that is needed to reject a second creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Does not exist.
    #[default]
    None,
    /// Requested.
    Requested,
    /// Scheduled.
    Scheduled,
    /// In progress.
    InProgress,
}

/// Commands of the order.
#[derive(Debug)]
pub enum Command {
    /// Creates the order.
    Create(Box<Created>),
}

/// Events of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The order was created.
    #[serde(rename = "ImagingOrder.Created")]
    Created(Box<Created>),
    /// The order was scheduled.
    #[serde(rename = "ImagingOrder.Scheduled")]
    Scheduled {},
    /// The examination started.
    #[serde(rename = "ImagingOrder.InProgress")]
    InProgress {},
}

/// Members of `ImagingOrder.Created` that are not PHI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    order_id: Uuid,
    patient_id: Uuid,
    encounter_id: Uuid,
    episode_id: Uuid,
    ordering_practitioner_id: Uuid,
    ordering_department_id: Uuid,
    imaging_procedure_id: Uuid,
    procedure_code: String,
    procedure_name: String,
    modality_code: String,
    priority: String,
    requested_at: String,
    accession_number: String,
    fhir_service_request_id: Uuid,
}

/// Reason why a command is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Create found an existing order.
    #[error("the order exists")]
    Exists,
}

impl Created {
    /// Creates an order for a new patient. The id is random, as in Roentgen (v5), so that both load their indexes
    /// alike.
    pub fn fresh() -> Self {
        let order_id = Uuid::new_v4();
        Self {
            order_id,
            patient_id: Uuid::new_v4(),
            encounter_id: Uuid::new_v4(),
            episode_id: Uuid::new_v4(),
            ordering_practitioner_id: Uuid::new_v4(),
            ordering_department_id: Uuid::new_v4(),
            imaging_procedure_id: Uuid::new_v4(),
            procedure_code: "CTCHESTWC".to_owned(),
            procedure_name: "CT chest with intravenous contrast".to_owned(),
            modality_code: "CT".to_owned(),
            priority: "routine".to_owned(),
            requested_at: "2026-03-14T09:26:53.589Z".to_owned(),
            accession_number: "ACC20260314000042".to_owned(),
            fhir_service_request_id: order_id,
        }
    }

    /// Returns the order's id.
    pub fn id(&self) -> Uuid {
        self.order_id
    }
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        let name = match self {
            Self::Created(_) => "ImagingOrder.Created",
            Self::Scheduled {} => "ImagingOrder.Scheduled",
            Self::InProgress {} => "ImagingOrder.InProgress",
        };
        name.to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "ImagingOrder";
    type Command = Command;
    type Event = Event;
    type Error = Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Error> {
        match (&self, command) {
            (Self::None, Command::Create(order)) => {
                sink.write(Event::Created(order), self).await;
                Ok(())
            }
            (Self::Requested | Self::Scheduled | Self::InProgress, Command::Create(_)) => {
                Err(Error::Exists)
            }
        }
    }

    fn apply(&mut self, event: Event) {
        *self = match event {
            Event::Created(_) => Self::Requested,
            Event::Scheduled {} => Self::Scheduled,
            Event::InProgress {} => Self::InProgress,
        };
    }
}
