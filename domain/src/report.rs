//! `RadiologyReport`: the radiologist's report on a study (FHIR DiagnosticReport). A study has one report; the report
//! id is derived from the study id.
//!
//! ```text
//! (none) --Create--> draft --Sign--> preliminary --Sign--> final --AddAddendum--> corrected --AddAddendum--+
//!           ^          |                  |     \_Sign_^                              ^_____________________|
//!           |          +------Cancel------+
//!           +--------- cancelled <--------+
//! ```
//!
//! A draft may be signed as final directly. Editing does not change the status and is possible until `final`. A
//! cancelled report may be created again in the same stream.
//!
//! **Signed content never changes.** Content is stored by the version of its event ([`ReportPhi`]). A [`SignedVersion`]
//! names the version up to which content is signed. Later edits of a preliminary report stay unsigned until the next
//! signature.
//!
//! **A critical result** is raised once: with the first signature of a report that is marked critical, with a later
//! signature if the report was marked in between, or with an addendum that states a critical result. Communications
//! count from the version at which the report was marked; for a draft, from its creation. A signature or an addendum
//! that states that the report is not critical withdraws the result; cancelling does so, too. If the report is marked
//! again, the result is raised again. An addendum that states a critical result after the communication raises another
//! result, which is not communicated yet.
//!
//! **AI suggests, a radiologist decides**: AI content (`ai_assist_summary`) is not report content. It is neither signed
//! nor released.

mod content;
mod critical_result;
mod decide;
mod events;
mod evolve;
mod phi;
mod signature;
mod state;

pub use content::{AuthoredContent, Content, ContentChanges, ContentEdit, Section};
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

/// Commands of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Creates a draft.
    Create(Box<NewReport>),
    /// Changes the given members.
    Edit(Box<Edit>),
    /// Signs and releases the content.
    Sign(Box<Sign>),
    /// Adds an addendum to a final report.
    AddAddendum(Box<NewAddendum>),
    /// Records the communication of a critical result.
    Communicate(Box<NewCommunication>),
    /// Records the review of an AI suggestion.
    ReviewSuggestion(Box<NewReview>),
    /// Cancels the report.
    Cancel(Cancel),
    /// Marks a critical result as overdue; issued by the system. No event if the result was communicated.
    MarkOverdue,
}

/// New report. Patient and order are those of the study.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReport {
    /// Study.
    pub imaging_study_id: StudyId,
    /// Order that the study fulfils, if any.
    pub imaging_order_id: Option<OrderId>,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Author.
    pub radiologist_id: PractitionerId,
    /// Template of the report.
    pub template_id: Option<TemplateId>,
    /// Content, including the default text of the template.
    pub written: AuthoredContent,
}

/// Edit of a draft or of a preliminary report. Omitted members are unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Author. Editing a draft makes the author its radiologist.
    pub radiologist_id: PractitionerId,
    /// Members to change; structured data is a merge patch (RFC 7396).
    pub written: ContentEdit,
    /// Sections to change individually; the four standard sections are the members of the same names. A section without
    /// text is emptied.
    pub sections: Vec<Section>,
    /// Whether the report contains a critical result.
    pub critical_result: Option<bool>,
}

/// Signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// Signing radiologist.
    pub radiologist_id: PractitionerId,
    /// Whether the report becomes final; otherwise preliminary.
    pub is_final: bool,
    /// Communication of the critical result made before signing.
    pub communication: Option<NewCommunication>,
    /// Recipient and deadline of a critical result.
    pub notice: CriticalNotice,
}

/// Recipient and communication deadline of a critical result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticalNotice {
    /// Order that the study currently fulfils.
    pub imaging_order_id: Option<OrderId>,
    /// Ordering practitioner.
    pub ordering_practitioner_id: Option<PractitionerId>,
    /// Maximum time until the result must be communicated.
    pub critical_deadline: Duration,
}

/// New addendum.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAddendum {
    /// Author.
    pub radiologist_id: PractitionerId,
    /// Kind of addendum.
    pub kind: AddendumKind,
    /// Text.
    pub content: PhiText,
    /// Whether the report is now critical.
    pub critical_result: Option<bool>,
    /// Recipient and deadline of a critical result.
    pub notice: CriticalNotice,
}

/// New communication of a critical result.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCommunication {
    /// Communicating radiologist.
    pub radiologist_id: PractitionerId,
    /// Recipient.
    pub recipient: PhiText,
    /// Method.
    pub method: Method,
    /// Time of the communication; must not be in the future.
    pub communicated_at: Timestamp,
    /// Whether the recipient read the result back.
    pub read_back: bool,
    /// Additional information.
    pub note: Option<PhiText>,
}

/// Review of an AI suggestion by a radiologist.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReview {
    /// Reviewer.
    pub radiologist_id: PractitionerId,
    /// Reviewed output.
    pub output_id: AiOutputId,
    /// Decision.
    pub decision: Decision,
    /// Reason.
    pub note: Option<PhiText>,
}

/// Cancellation.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    /// Cancelling radiologist.
    pub radiologist_id: PractitionerId,
    /// Reason.
    pub reason: PhiText,
}

/// Operation that a report may reject because of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Edit.
    Edit,
    /// Signature.
    Sign,
    /// Addendum.
    AddAddendum,
    /// Communication of a critical result.
    Communicate,
    /// Review of an AI suggestion.
    ReviewSuggestion,
    /// Cancellation.
    Cancel,
}

wire_enum! {
    Operation: Edit = "edited", Sign = "signed", AddAddendum = "amended",
        Communicate = "communicated", ReviewSuggestion = "reviewed against AI suggestions",
        Cancel = "cancelled";
}

/// Domain errors of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The study already has a report.
    #[error("study already has a report")]
    AlreadyExists,
    /// The report does not exist.
    #[error("report not found")]
    NotFound,
    /// The status does not allow the operation.
    #[error("report with status {status} cannot be {operation}")]
    Refused {
        /// Current status.
        status: Status,
        /// Requested operation.
        operation: Operation,
    },
    /// Final signature without an impression.
    #[error("a final report needs an impression")]
    ImpressionMissing,
    /// Section that is neither one of the four standard sections nor a template section.
    #[error("unknown section")]
    NoSuchSection,
    /// Communication time in the future.
    #[error("communicated_at must not be in the future")]
    CommunicatedInFuture,
    /// The PHI has been erased.
    #[error("patient data has been erased")]
    Erased,
    /// The deadline has not passed.
    #[error("deadline has not passed")]
    NotDue,
    /// Structured data that cannot be stored after the change.
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

    /// Returns the stream budget. Unbounded commands cannot be repeated for ever: a report becomes final once, is
    /// recreated only after a cancellation, and is overdue once per raised critical result.
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

    /// Returns the size of the content of all versions, without parts that are visible on their own. The latest content
    /// counts here and in the PHI.
    fn unshown_bytes(&self) -> usize {
        let all = self.phi.as_ref().map_or(0, ReportPhi::bytes);
        all.saturating_sub(self.alone_bytes())
    }

    fn alone_bytes(&self) -> usize {
        let alone = self.shown_parts().alone;
        self.phi.as_ref().map_or(0, |phi| phi.bytes_of(&alone))
    }

    /// Returns the visible parts: the last signed content stays visible together with later edits; addenda,
    /// communications, reviews and the cancellation are visible individually.
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
