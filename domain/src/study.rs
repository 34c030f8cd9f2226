//! `ImagingStudy`: one imaging examination of a patient, with its series and instances (FHIR ImagingStudy).
//!
//! ```text
//! (none) --Sync--> available --Update--> archived
//!                   |    ^
//!                   +----+ Sync, AddSeries, AddInstance, Update
//!
//! unlinked --Link--> linked         --MarkConflict--> conflict --Link--> linked
//!     ^                |                                 |
//!     +--- Update -----+---------------------------------+
//! ```
//!
//! A PACS may sync a study any number of times: a sync is an upsert by UID, and a sync without changes writes no event.
//! Series and instances are never removed. The study id is derived from the Study Instance UID, so that a UID has at
//! most one study. The ids of series and instances are derived from their UIDs.
//!
//! Images are accepted even if a reported time cannot be right: if the study would end before it started, the known
//! time is retained and the new one is left out.

mod decide;
mod events;
mod facts;
mod series_index;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use events::{
    AddedInstance, AddedSeries, Archived, Available, AvailablePhi, Event, InstancesAdded, LinkKind,
    Linked, SeriesAdded, SeriesChange, SeriesInstances, Unlinked, Updated, UpdatedPhi,
};
pub use facts::{Details, Instance, InstanceAttributes, Series, SeriesAttributes};
pub use series_index::{IndexedSeries, SeriesIndex};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::change::Change;
use crate::growth::StreamBudget;
use crate::ids::{OrderId, PatientId, SeriesId};
use crate::json::{Members, members_of};
use crate::phi::{Patient, Phi};
use crate::time::Timestamp;
use crate::url::HttpUrl;
use crate::wire_enum;

/// State of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Patient.
    pub patient_id: PatientId,
    /// Attributes reported by the PACS.
    #[serde(flatten)]
    pub details: Details,
    /// Link to an order.
    #[serde(flatten)]
    pub linking: OrderLink,
    /// Larger of the stated and the listed number (FHIR `numberOfSeries`).
    pub number_of_series: u32,
    /// Larger of the stated and the listed number (FHIR `numberOfInstances`).
    pub number_of_instances: u32,
    /// Viewer URL, without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer_url: Option<HttpUrl>,
    /// Status.
    pub status: Status,
    /// Series and instances that decisions need; filled only if the whole stream was folded. Not part of the resource,
    /// which could not carry thousands of them.
    #[serde(skip)]
    pub content: Arc<SeriesIndex>,
    /// Order that a person unlinked from the study; the system does not link the two again. Not part of the resource.
    #[serde(skip)]
    pub parted_from: Option<OrderId>,
    /// `None` if sealed or erased.
    #[serde(skip)]
    pub phi: Option<StudyPhi>,
}

/// Link between a study and an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum OrderLink {
    /// No known order.
    Unlinked,
    /// Linked to an order.
    Linked {
        /// Order.
        imaging_order_id: OrderId,
    },
    /// Reference to an order of another patient; a person must resolve it.
    Conflict {
        /// Referenced order.
        conflicting_order_id: OrderId,
    },
}

impl OrderLink {
    /// Returns the linked order, if any.
    pub const fn order(self) -> Option<OrderId> {
        match self {
            Self::Linked { imaging_order_id } => Some(imaging_order_id),
            Self::Unlinked | Self::Conflict { .. } => None,
        }
    }

    /// Returns the link status.
    pub const fn name(self) -> OrderLinkStatus {
        match self {
            Self::Unlinked => OrderLinkStatus::Unlinked,
            Self::Linked { .. } => OrderLinkStatus::Linked,
            Self::Conflict { .. } => OrderLinkStatus::Conflict,
        }
    }
}

/// Name of an [`OrderLink`] state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderLinkStatus {
    /// No known order.
    Unlinked,
    /// Linked to an order.
    Linked,
    /// Reference to an order of another patient.
    Conflict,
}

/// Status of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The images are available, and more may follow.
    Available,
    /// Archived: syncs, additions and attribute changes are rejected.
    Archived,
}

wire_enum! {
    OrderLinkStatus: Unlinked = "unlinked", Linked = "linked", Conflict = "conflict";
    Status: Available = "available", Archived = "archived";
}

/// PHI members of a study.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StudyPhi {
    /// Patient demographics, if reported by the PACS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
}

/// Commands of a study.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Applies the attributes reported by the PACS.
    Sync(Box<Sync>),
    /// Adds one series.
    AddSeries(Box<SeriesAttributes>),
    /// Adds one instance.
    AddInstance {
        /// Series of the instance.
        series_id: SeriesId,
        /// Instance.
        instance: InstanceAttributes,
    },
    /// Changes the given members.
    Update(Box<Update>),
    /// Links the study to an order of the same patient; a linked study is unchanged.
    Link {
        /// Order.
        order_id: OrderId,
    },
    /// Records that the referenced order belongs to another patient; a linked study is unchanged.
    MarkConflict {
        /// Order.
        order_id: OrderId,
    },
}

/// Attributes of a study reported by a PACS; `None` means not reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Sync {
    /// Patient.
    pub patient_id: PatientId,
    /// Attributes of the study. The endpoint is used for a new study only.
    pub details: Details,
    /// Patient demographics.
    pub patient: Option<Patient>,
    /// Order that the study refers to.
    pub order: Option<ReferencedOrder>,
    /// Series with their instances, as far as the PACS knows them.
    pub series: Vec<SyncedSeries>,
}

/// Series of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncedSeries {
    /// Attributes reported by the PACS.
    pub facts: SeriesAttributes,
    /// Instances reported by the PACS.
    pub instances: Vec<InstanceAttributes>,
}

/// Existing order that a study refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferencedOrder {
    /// Order of the same patient.
    SamePatient(OrderId),
    /// Order of another patient.
    OtherPatient(OrderId),
}

/// Manual change of a study. Omitted members are unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// New status.
    pub status: Option<Status>,
    /// New stated number of series.
    pub number_of_series: Option<u32>,
    /// New stated number of instances.
    pub number_of_instances: Option<u32>,
    /// Time of the last image.
    pub ended_at: Change<Timestamp>,
    /// Viewer URL.
    pub viewer_url: Change<HttpUrl>,
    /// Order that the study fulfils; `Clear` removes the link.
    pub order: Change<ReferencedOrder>,
}

/// Domain errors of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The study does not exist.
    #[error("study not found")]
    NotFound,
    /// The study's UID is known for another patient.
    #[error("study belongs to another patient")]
    OtherPatient,
    /// The study is archived.
    #[error("the study is archived")]
    Archived,
    /// The series already exists.
    #[error("study already has a series with this UID")]
    SeriesExists,
    /// The series does not exist.
    #[error("series not found in this study")]
    NoSuchSeries,
    /// The instance already exists.
    #[error("series already has an instance with this UID")]
    InstanceExists,
    /// The order belongs to another patient.
    #[error("order belongs to another patient")]
    OrderOfOtherPatient,
    /// The start is after the end.
    #[error("started_at must not be after ended_at")]
    StartAfterEnd,
}

impl Aggregate for Study {
    const STREAM_TYPE: &'static str = "ImagingStudy";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (None, Command::Sync(sync)) => Ok(decide::first_sync(*sync, context)),
            (Some(study), Command::Sync(sync)) => decide::sync(study, *sync, context),
            (Some(study), Command::AddSeries(facts)) => decide::add_series(study, *facts, context),
            (
                Some(study),
                Command::AddInstance {
                    series_id,
                    instance,
                },
            ) => decide::add_instance(study, series_id, instance, context),
            (Some(study), Command::Update(update)) => decide::update(study, *update, context),
            (Some(study), Command::Link { order_id }) => Ok(decide::link(study, order_id, context)),
            (Some(study), Command::MarkConflict { order_id }) => {
                Ok(decide::mark_conflict(study, order_id, context))
            }
            (
                None,
                Command::AddSeries(_)
                | Command::AddInstance { .. }
                | Command::Update(_)
                | Command::Link { .. }
                | Command::MarkConflict { .. },
            ) => Err(Error::NotFound),
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

    fn unshown_bytes(&self) -> usize {
        self.content.weight()
    }

    /// Returns the stream budget. Archiving is unbounded, because it happens once; link commands are issued by
    /// policies.
    fn room(state: Option<&Self>, command: &Command) -> StreamBudget {
        let current = state.map(|study| study.status);
        match command {
            Command::Update(update) if update.status.is_some() && update.status != current => {
                StreamBudget::Unbounded
            }
            Command::Link { .. } | Command::MarkConflict { .. } => StreamBudget::Reserved,
            Command::Sync(_)
            | Command::AddSeries(_)
            | Command::AddInstance { .. }
            | Command::Update(_) => StreamBudget::Bounded,
        }
    }
}

#[cfg(test)]
mod tests;
