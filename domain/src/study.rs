//! `ImagingStudy`: what a scanner made of a patient at one time, with its series and instances (FHIR ImagingStudy).
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
//! A study is told of as often as its archive likes: a sync is an upsert by UID, and one that changes nothing has no
//! events. Series and instances only grow. The id is derived from the Study Instance UID, so that there is never a
//! second study of one UID, and those of series and instances from theirs.
//!
//! Images are taken up also where a clinical time beside them cannot be right: a study that would end before it started
//! keeps the time that it has, and the new one is left out.

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

/// A study as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Patient.
    pub patient_id: PatientId,
    /// What its archive says of it.
    #[serde(flatten)]
    pub details: Details,
    /// Which order it answers.
    #[serde(flatten)]
    pub linking: OrderLink,
    /// The larger of what was stated and what is listed (FHIR `numberOfSeries`).
    pub number_of_series: u32,
    /// The larger of what was stated and what is listed (FHIR `numberOfInstances`).
    pub number_of_instances: u32,
    /// Viewer URL, without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer_url: Option<HttpUrl>,
    /// Whether its archive still changes it.
    pub status: Status,
    /// Its series and instances, as far as decisions need them: known where the whole stream was folded, and no part of
    /// the resource, which could not carry thousands of them.
    #[serde(skip)]
    pub content: Arc<SeriesIndex>,
    /// The order that a person parted it from: the system does not link the two again. No part of the resource either.
    #[serde(skip)]
    pub parted_from: Option<OrderId>,
    /// `None` where it is sealed or erased.
    #[serde(skip)]
    pub phi: Option<StudyPhi>,
}

/// Which order a study answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum OrderLink {
    /// None is known yet.
    Unlinked,
    /// This one.
    Linked {
        /// The order.
        imaging_order_id: OrderId,
    },
    /// One of another patient: for a person to settle.
    Conflict {
        /// The order it would have been.
        conflicting_order_id: OrderId,
    },
}

impl OrderLink {
    /// The order, where there is one.
    pub const fn order(self) -> Option<OrderId> {
        match self {
            Self::Linked { imaging_order_id } => Some(imaging_order_id),
            Self::Unlinked | Self::Conflict { .. } => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> OrderLinkStatus {
        match self {
            Self::Unlinked => OrderLinkStatus::Unlinked,
            Self::Linked { .. } => OrderLinkStatus::Linked,
            Self::Conflict { .. } => OrderLinkStatus::Conflict,
        }
    }
}

/// The name of a [`OrderLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderLinkStatus {
    /// No order is known yet.
    Unlinked,
    /// An order is.
    Linked,
    /// An order of another patient.
    Conflict,
}

/// Whether a study's archive still changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its images can be had, and more may come.
    Available,
    /// Put away: nothing comes any more.
    Archived,
}

wire_enum! {
    OrderLinkStatus: Unlinked = "unlinked", Linked = "linked", Conflict = "conflict";
    Status: Available = "available", Archived = "archived";
}

/// The PHI members of a study.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StudyPhi {
    /// Who the patient is, where the archive said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
}

/// What may be asked of a study.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Takes up what its archive says of it.
    Sync(Box<Sync>),
    /// Adds one series.
    AddSeries(Box<SeriesAttributes>),
    /// Adds one instance.
    AddInstance {
        /// To this series.
        series_id: SeriesId,
        /// The instance.
        instance: InstanceAttributes,
    },
    /// Changes what is given.
    Update(Box<Update>),
    /// Links it with an order of the same patient; one that is linked stays so.
    Link {
        /// The order.
        order_id: OrderId,
    },
    /// Says that the order it names is another patient's; one that is linked stays so.
    MarkConflict {
        /// The order.
        order_id: OrderId,
    },
}

/// What an archive says of a study; what is `None` says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Sync {
    /// Patient.
    pub patient_id: PatientId,
    /// The study's own members. The endpoint counts for a new study only.
    pub details: Details,
    /// Patient demographics.
    pub patient: Option<Patient>,
    /// The order that the study names.
    pub order: Option<ReferencedOrder>,
    /// Its series with their instances, as many as the archive knows.
    pub series: Vec<SyncedSeries>,
}

/// One series of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncedSeries {
    /// What is said of it.
    pub facts: SeriesAttributes,
    /// Instances reported by the PACS.
    pub instances: Vec<InstanceAttributes>,
}

/// An order that exists, beside a study that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferencedOrder {
    /// It is the same patient's.
    SamePatient(OrderId),
    /// It is another's.
    OtherPatient(OrderId),
}

/// A change to a study by a person. What is not said stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Where it is to be.
    pub status: Option<Status>,
    /// How many series there are to be.
    pub number_of_series: Option<u32>,
    /// How many instances there are to be.
    pub number_of_instances: Option<u32>,
    /// When the last image was made.
    pub ended_at: Change<Timestamp>,
    /// A link to its images.
    pub viewer_url: Change<HttpUrl>,
    /// The order it answers; none, where taken away.
    pub order: Change<ReferencedOrder>,
}

/// Why a study refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("study not found")]
    NotFound,
    /// The study's UID is known as another patient's.
    #[error("study belongs to another patient")]
    OtherPatient,
    /// Nothing comes any more.
    #[error("the study is archived")]
    Archived,
    /// The series is known.
    #[error("study already has a series with this UID")]
    SeriesExists,
    /// The series is not.
    #[error("series not found in this study")]
    NoSuchSeries,
    /// The instance is known.
    #[error("series already has an instance with this UID")]
    InstanceExists,
    /// The order is another patient's.
    #[error("order belongs to another patient")]
    OrderOfOtherPatient,
    /// Start is not after end.
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

    /// A study is archived once, and linked by policies.
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
