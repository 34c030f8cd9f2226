//! `RadiologyReport`: what a radiologist says of a study (FHIR DiagnosticReport). One a study: its id is derived from
//! the study's.
//!
//! ```text
//! (none) --Create--> draft --Sign--> preliminary --Sign--> final --AddAddendum--> corrected --AddAddendum--+
//!           ^          |                  |     \_Sign_^                              ^_____________________|
//!           |          +------Cancel------+
//!           +--------- cancelled <--------+
//! ```
//!
//! A draft may be signed as final at once. Editing leaves the status as it is, and ends with `final`. A cancelled
//! report may be created again: the same stream, another report.
//!
//! **What was signed is never altered.** Words are kept by the version of the fact that told them ([`ReportPhi`]); a
//! [`SignedVersion`] names the version up to which they are signed. What is written to a preliminary report later
//! stands behind that version until it is signed too.
//!
//! **A critical result** is raised once: with the first signature of a report that is marked critical, with a later
//! signature where it was marked since, or with an addendum that says so. A communication counts from the moment the
//! report was marked, in a draft from its beginning. Signing that a report is not critical, or an addendum that says
//! so, takes the result back; so does cancelling. If it is marked again after that, it is raised again. An addendum
//! that says so after somebody was told raises another one, of which nobody was told yet.
//!
//! **AI suggests, a radiologist decides**: the machine's words (`ai_assist_summary`) are no content. They are not
//! signed and not released.

mod content;
mod critical_result;
mod decide;
mod events;
mod evolve;
mod phi;
mod signature;
mod state;

pub use content::{
    AuthoredContent, Content, ContentChanges, ContentEdit, InvalidSectionCode, Section, SectionCode,
};
pub use critical_result::{
    Communication, CommunicationRecord, CriticalCommunication, Method, RaisedCriticalResult,
};
pub use events::{
    AddendumAdded, AddendumPhi, AiSuggestionReviewed, Cancelled, CancelledPhi, CommunicationPhi,
    Created, CriticalResult, CriticalResultCommunicated, CriticalResultOverdue, CriticalResultPhi,
    Event, ReviewPhi, Signed, Updated,
};
pub use phi::{CommunicationText, ReportPhi};
pub use state::{
    Activity, Addendum, AddendumKind, AddendumRecord, Decision, Lifecycle, Report, Review,
    SignatureRecord, SignedVersion, Status,
};

use std::time::Duration;

use crate::Timestamp;
use crate::aggregate::{Aggregate, Context, UnexpectedEvent};
use crate::growth::{StreamBudget, VisiblePhi};
use crate::ids::{AiOutputId, OrderId, PatientId, PractitionerId, StudyId, TemplateId};
use crate::json::{JsonLimitError, Members};
use crate::phi::{Phi, PhiText};
use crate::wire_enum;

/// What may be asked of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begins a draft.
    Create(Box<NewReport>),
    /// Changes what is given.
    Edit(Box<Edit>),
    /// Releases what is written.
    Sign(Box<Sign>),
    /// Adds to what is final.
    AddAddendum(Box<NewAddendum>),
    /// Records the communication of a critical result.
    Communicate(Box<NewCommunication>),
    /// Judges what an AI model suggested.
    ReviewSuggestion(Box<NewReview>),
    /// Calls it off.
    Cancel(Cancel),
    /// The system's: the deadline of a critical result has passed. Nothing happens where somebody was told.
    MarkOverdue,
}

/// A new report. Patient and order are the study's.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReport {
    /// Study.
    pub imaging_study_id: StudyId,
    /// The order that the study answers, where there is one.
    pub imaging_order_id: Option<OrderId>,
    /// Whose study it is.
    pub patient_id: PatientId,
    /// Who writes.
    pub radiologist_id: PractitionerId,
    /// What it was begun from.
    pub template_id: Option<TemplateId>,
    /// What it says, the template's words included.
    pub written: AuthoredContent,
}

/// A change to a draft, or to what is to become of a preliminary report. What is not said stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Who writes. A draft becomes theirs.
    pub radiologist_id: PractitionerId,
    /// Members to change; structured data is a merge patch (RFC 7396).
    pub written: ContentEdit,
    /// Sections to change, one by one; the four are the members of the same names. One without text is emptied.
    pub sections: Vec<Section>,
    /// Whether the report contains a critical result.
    pub critical_result: Option<bool>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// Who signs.
    pub radiologist_id: PractitionerId,
    /// Final, or preliminary.
    pub is_final: bool,
    /// Communication of the critical result made before signing.
    pub communication: Option<NewCommunication>,
    /// For a critical result.
    pub notice: CriticalNotice,
}

/// Whom a critical result concerns, and how long they may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticalNotice {
    /// The order that the study answers by now.
    pub imaging_order_id: Option<OrderId>,
    /// Who ordered.
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// How soon somebody has to be told.
    pub critical_deadline: Duration,
}

/// A new addendum.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAddendum {
    /// Who adds.
    pub radiologist_id: PractitionerId,
    /// What it is.
    pub kind: AddendumKind,
    /// What it says.
    pub content: PhiText,
    /// Whether the report is now critical.
    pub critical_result: Option<bool>,
    /// For a critical result.
    pub notice: CriticalNotice,
}

/// A new communication.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommunication {
    /// Who told.
    pub radiologist_id: PractitionerId,
    /// Recipient.
    pub recipient: PhiText,
    /// How.
    pub method: Method,
    /// Time of the communication; must not be in the future.
    pub communicated_at: Timestamp,
    /// Whether the recipient read the result back.
    pub read_back: bool,
    /// More about it.
    pub note: Option<PhiText>,
}

/// Review of an AI suggestion by a radiologist.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReview {
    /// Who judges.
    pub radiologist_id: PractitionerId,
    /// What is judged.
    pub output_id: AiOutputId,
    /// How.
    pub decision: Decision,
    /// Why.
    pub note: Option<PhiText>,
}

/// A cancellation.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// Who cancels.
    pub radiologist_id: PractitionerId,
    /// Why.
    pub reason: PhiText,
}

/// What a report may refuse in a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To be edited.
    Edit,
    /// To be signed.
    Sign,
    /// To be added to.
    AddAddendum,
    /// To have a communication.
    Communicate,
    /// To have a suggestion judged.
    ReviewSuggestion,
    /// To be cancelled.
    Cancel,
}

wire_enum! {
    Operation: Edit = "edited", Sign = "signed", AddAddendum = "amended",
        Communicate = "communicated", ReviewSuggestion = "reviewed against AI suggestions",
        Cancel = "cancelled";
}

/// Why a report refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The study has one.
    #[error("study already has a report")]
    AlreadyExists,
    /// There is none.
    #[error("report not found")]
    NotFound,
    /// Not in this status.
    #[error("report with status {status} cannot be {operation}")]
    Refused {
        /// What it is.
        status: Status,
        /// What was asked.
        operation: Operation,
    },
    /// Final without an impression.
    #[error("a final report needs an impression")]
    ImpressionMissing,
    /// Neither one of the four nor the template's own.
    #[error("unknown section")]
    NoSuchSection,
    /// Told after now.
    #[error("communicated_at must not be in the future")]
    CommunicatedInFuture,
    /// Nobody can read it any more.
    #[error("patient data has been erased")]
    Erased,
    /// The deadline is still to come.
    #[error("deadline has not passed")]
    NotDue,
    /// The structured data would be what cannot be kept.
    #[error("after the change, structured_data {0}")]
    StructuredData(JsonLimitError),
}

impl Aggregate for Report {
    const STREAM_TYPE: &'static str = "RadiologyReport";

    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn decide(
        state: Option<&Self>,
        command: Command,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        match (state, command) {
            (report, Command::Create(new)) => decide::create(report, *new, context),
            (Some(report), Command::Edit(edit)) => decide::edit(report, *edit, context),
            (Some(report), Command::Sign(sign)) => decide::sign(report, *sign, context),
            (Some(report), Command::AddAddendum(new)) => {
                decide::add_addendum(report, *new, context)
            }
            (Some(report), Command::Communicate(new)) => {
                critical_result::communicate(report, *new, context)
            }
            (Some(report), Command::ReviewSuggestion(new)) => {
                decide::review_suggestion(report, *new, context)
            }
            (Some(report), Command::Cancel(cancel)) => decide::cancel(report, cancel, context),
            (Some(report), Command::MarkOverdue) => critical_result::mark_overdue(report, context),
            (
                None,
                Command::Edit(_)
                | Command::Sign(_)
                | Command::AddAddendum(_)
                | Command::Communicate(_)
                | Command::ReviewSuggestion(_)
                | Command::Cancel(_)
                | Command::MarkOverdue,
            ) => Err(Error::NotFound),
        }
    }

    fn evolve(state: Option<Self>, event: Event) -> Result<Self, UnexpectedEvent> {
        evolve::evolve(state, event)
    }

    fn phi(&self) -> Option<Phi<Members>> {
        self.phi.as_ref().map(|phi| Phi::new(phi.merged()))
    }

    fn patient_id(&self) -> Option<PatientId> {
        Some(self.patient_id)
    }

    /// A report becomes final once, is begun again only after it was cancelled, and is overdue once for each signature
    /// that raises a critical result.
    fn room(_state: Option<&Self>, command: &Command) -> StreamBudget {
        match command {
            Command::Edit(_) | Command::ReviewSuggestion(_) => StreamBudget::Bounded,
            Command::Sign(sign) if sign.is_final => StreamBudget::Unbounded,
            Command::Sign(_)
            | Command::AddAddendum(_)
            | Command::Communicate(_)
            | Command::Cancel(_) => StreamBudget::Reserved,
            Command::Create(_) | Command::MarkOverdue => StreamBudget::Unbounded,
        }
    }

    /// The words of all its versions, but for parts that show by themselves. The latest words count here and in the
    /// PHI.
    fn unshown_bytes(&self) -> usize {
        let all = self.phi.as_ref().map_or(0, ReportPhi::bytes);
        all.saturating_sub(self.alone_bytes())
    }

    fn alone_bytes(&self) -> usize {
        let alone = self.shown_parts().alone;
        self.phi.as_ref().map_or(0, |phi| phi.bytes_of(&alone))
    }

    /// What was signed last shows beside what was written since. Addenda, communications and judgements show one by
    /// one.
    fn shown_parts(&self) -> VisiblePhi {
        let begun = self.begun.saturating_sub(1);
        let released = self.signed_version().map(|release| release.version);
        let addenda = self.addenda().iter().map(|addendum| addendum.version);
        let told = self.communications.iter().map(|told| told.version);
        let reviews = self.ai_suggestions.iter().map(|review| review.version);
        VisiblePhi {
            dividers: released.into_iter().chain([begun]).collect(),
            alone: addenda
                .chain(told)
                .chain(reviews)
                .chain(self.cancelled_in())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
