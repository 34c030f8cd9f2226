//! `RadiologyWorklistItem`: a study's place on the radiologists' worklist. There is one item a study: its id is derived
//! from the study's.
//!
//! ```text
//! (none) --Create--> pending --Claim--> claimed --> in_progress --> completed
//!                     ^   ^                |  ^--------'|              |
//!                     |   +---- Release ---+------------+              |
//!                     |   +---- late images ---------------------------+
//!                  Create
//!                     |
//!                 cancelled <---- pending, claimed, in_progress
//! ```
//!
//! A cancelled item may be created again. What AI models contributed is kept through all of this, each model's part by
//! itself, and never changes the clinician's priority.

mod decide;
mod events;
mod progress;
mod room;
mod triage;

use serde::{Deserialize, Serialize};

pub use events::{Claimed, Created, CreatedPhi, Event, ReleaseReason, Released, Updated};
pub use progress::{Assignment, Lifecycle, Status};
pub use triage::{AiContribution, Flags, MAX_PARTS, Triage};

use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::dicom::AccessionNumber;
use crate::growth::StreamBudget;
use crate::ids::{OrderId, PatientId, PractitionerId, StudyId, WorklistItemId};
use crate::json::{Members, members_of};
use crate::order::{self, Priority};
use crate::phi::{Patient, Phi};
use crate::score::Score;
use crate::text::Text;
use crate::time::Timestamp;
use crate::wire_enum;

/// An item as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorklistItem {
    /// Whose images are to be read.
    pub patient_id: PatientId,
    /// What is to be read.
    #[serde(flatten)]
    pub case: CaseDetails,
    /// How soon: the clinician's word.
    pub priority: Priority,
    /// How far it is, and who holds it.
    #[serde(flatten)]
    pub progress: Lifecycle,
    /// When it was created, claimed, or last worked on by its holder.
    pub last_activity_at: Timestamp,
    /// What AI models say of it.
    #[serde(flatten)]
    pub triage: Triage,
    /// What a person should know before it is read.
    pub attention: Vec<Attention>,
    /// `None` where it is sealed, erased, or not known.
    #[serde(skip)]
    pub phi: Option<CreatedPhi>,
}

/// What is to be read, as the study says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseDetails {
    /// The study.
    pub imaging_study_id: StudyId,
    /// The order that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_order_id: Option<OrderId>,
    /// DICOM Modality (0008,0060).
    pub modality_code: ModalityCode,
    /// DICOM Body Part Examined (0018,0015), or the house's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// DICOM Accession Number (0008,0050).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<AccessionNumber>,
    /// DICOM Study Description (0008,1030).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

/// What a person should know before an item is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Images came after it was completed.
    LateImages,
    /// The order was cancelled, but there are images.
    OrderCancelled,
    /// Study and order are not the same patient's.
    LinkConflict,
}

/// A status that an update may ask for; a claim is a command of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestedStatus {
    /// Back to the others, also where somebody holds it.
    Pending,
    /// Reading begins.
    InProgress,
    /// Reading is done.
    Completed,
    /// Not to be read.
    Cancelled,
}

wire_enum! {
    Attention: LateImages = "late_images", OrderCancelled = "order_cancelled",
        LinkConflict = "link_conflict";
    RequestedStatus: Pending = "pending", InProgress = "in_progress", Completed = "completed",
        Cancelled = "cancelled";
}

/// On whose authority something is asked that is the holder's to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// One's own: the holder has to be this radiologist.
    Own(PractitionerId),
    /// An administrator's: whoever holds it.
    Any,
}

/// What may be asked of an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Puts a study on the worklist, or puts it there again.
    Create(Box<NewItem>),
    /// Claims it for a radiologist. Profile and limit are checked beside it.
    Claim(Claim),
    /// Gives it back.
    Release(Authority),
    /// A person's or another system's changes.
    Update(Box<Update>),
    /// The study answers this order. Its priority counts where it is news and higher; that it is cancelled is shown.
    AttachOrder(LinkedOrder),
    /// The study does not answer this order any more.
    DetachOrder(OrderId),
    /// An AI model's word; a later one of the same model takes its place.
    Contribute(AiContribution),
    /// Images came late: a completed item is opened again, with the order that its study answers now.
    Reopen(Option<LinkedOrder>),
    /// The order that the study names is another patient's.
    MarkConflict,
    /// A report was begun.
    Begin,
    /// The report was signed: from whatever open state.
    Complete,
    /// The report was cancelled.
    ReturnToClaimed,
    /// Releases a claim that was idle, if it is still that claim.
    ReleaseIdle {
        /// Who was idle.
        radiologist_id: PractitionerId,
        /// Which of that radiologist's claims.
        claimed_at: Timestamp,
    },
}

/// A new item.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// Whose images are to be read.
    pub patient_id: PatientId,
    /// What is to be read.
    pub case: CaseDetails,
    /// How soon.
    pub priority: Priority,
    /// What is known of it already.
    pub attention: Vec<Attention>,
    /// Who the patient is, where study or order say so.
    pub patient: Option<Patient>,
}

/// The order that an item's study answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedOrder {
    /// Which.
    pub order_id: OrderId,
    /// How soon it wants the images read.
    pub priority: Priority,
    /// How far it is.
    pub status: order::Status,
}

/// Who is to hold an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The radiologist.
    pub radiologist_id: PractitionerId,
    /// Who assigned it (the token's subject), where it was not the radiologist.
    pub assigned_by: Option<String>,
}

/// A change to an item. What is not said stays. Where a release and a claim come together, the release is first.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Where it is to be.
    pub status: Option<RequestedStatus>,
    /// On whose authority the holder's steps are asked.
    pub authority: Authority,
    /// How soon.
    pub priority: Option<Priority>,
    /// Who is to hold it; nobody, where taken away.
    pub assign: Change<Claim>,
    /// A score of no model's.
    pub ai_triage_score: Change<Score>,
    /// Flags of no model's.
    pub ai_triage_flags: Change<Vec<Text>>,
}

/// Why an item refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The study has one, which is open or completed.
    #[error("study already has a worklist item ({status})")]
    AlreadyExists {
        /// What it is.
        status: Status,
    },
    /// There is none.
    #[error("worklist item not found")]
    NotFound,
    /// Only a pending item is claimed.
    #[error("worklist item with status {status} cannot be claimed")]
    NotPending {
        /// What it is.
        status: Status,
    },
    /// Only who holds an item works on it.
    #[error("the worklist item is held by another radiologist")]
    HeldByOther,
    /// As many models as an item takes up have said something of the study.
    #[error("{MAX_PARTS} models have said something of the study already")]
    TooManyModels,
    /// A pending item is worked on by nobody.
    #[error("worklist item is pending; claim it first")]
    NotHeld,
    /// Completed or cancelled.
    #[error("the worklist item is {status}")]
    Closed {
        /// What it is.
        status: Status,
    },
}

impl Aggregate for WorklistItem {
    const STREAM_TYPE: &'static str = "RadiologyWorklistItem";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        if let Command::Create(new) = command {
            return decide::create(state, *new, context);
        }
        decide::decide_existing(state.ok_or(Error::NotFound)?, command, context)
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

    fn room(state: Option<&Self>, command: &Command) -> StreamBudget {
        room::of(state, command)
    }
}

impl WorklistItem {
    /// The item's id.
    pub fn id(&self) -> WorklistItemId {
        WorklistItemId::derive(self.case.imaging_study_id)
    }

    /// How far it is.
    pub fn status(&self) -> Status {
        self.progress.status()
    }

    /// Who holds it now; nobody, once it is completed.
    pub fn assignment(&self) -> Option<Assignment> {
        match self.progress {
            Lifecycle::Claimed(holding) | Lifecycle::InProgress(holding) => Some(holding),
            Lifecycle::Pending | Lifecycle::Completed { .. } | Lifecycle::Cancelled => None,
        }
    }

    /// The radiologist who holds it now.
    pub fn holder(&self) -> Option<PractitionerId> {
        self.assignment()
            .map(|assignment| assignment.assigned_radiologist_id)
    }
}

#[cfg(test)]
mod tests;
