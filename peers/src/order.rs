//! A small order as somebody would write it with cqrs-es: enough of `ImagingOrder` that its first event has about the
//! size of ours.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order, as far as it is needed to refuse a second creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// There is none.
    #[default]
    None,
    /// Ordered.
    Requested,
    /// Booked.
    Scheduled,
    /// The patient is on the table.
    InProgress,
}

/// What may be asked.
#[derive(Debug)]
pub enum Command {
    /// Order an examination.
    Create(Box<Created>),
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was ordered.
    #[serde(rename = "ImagingOrder.Created")]
    Created(Box<Created>),
    /// It was booked.
    #[serde(rename = "ImagingOrder.Scheduled")]
    Scheduled {},
    /// The examination began.
    #[serde(rename = "ImagingOrder.InProgress")]
    InProgress {},
}

/// The members of `ImagingOrder.Created` that are not PHI.
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

/// Why a command is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Create found an order.
    #[error("the order exists")]
    Exists,
}

impl Created {
    /// An order of a patient of its own. The id is random as ours are (v5), so that the indexes of both are hit alike.
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

    /// Its id.
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
