//! Critical results: raised with a signature or an addendum, communicated, or overdue after the deadline.

use serde::{Deserialize, Serialize};

use super::{
    CommunicationPhi, CriticalNotice, CriticalResult, CriticalResultCommunicated,
    CriticalResultOverdue, CriticalResultPhi, Error, Event, Lifecycle, NewCommunication, Operation,
    Report, Status,
};
use crate::Timestamp;
use crate::aggregate::Context;
use crate::ids::{CommunicationId, PractitionerId};
use crate::phi::PhiText;
use crate::wire_enum;

/// Tolerance for `communicated_at` in the future because of clock skew, in ms: 5 min.
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// Critical result of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedCriticalResult {
    /// Time at which the result was raised.
    pub raised_at: Timestamp,
    /// Deadline for communicating the critical result.
    pub deadline: Timestamp,
    /// Whether the deadline passed without a communication.
    pub overdue: bool,
    /// Ordering practitioner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_practitioner_id: Option<PractitionerId>,
}

/// Communication of a critical result (FHIR Communication).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Communication {
    /// Version in the stream, which identifies the text in [`ReportPhi`](super::ReportPhi).
    pub version: u64,
    /// Attributes without the text.
    #[serde(flatten)]
    pub facts: CommunicationRecord,
}

/// Communication without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunicationRecord {
    /// Communication id.
    pub communication_id: CommunicationId,
    /// Method.
    pub method: Method,
    /// Time of the communication.
    pub communicated_at: Timestamp,
    /// Whether the recipient read the result back.
    pub read_back: bool,
    /// Communicating radiologist.
    pub communicated_by_radiologist_id: PractitionerId,
    /// Time of the record.
    pub noted_at: Timestamp,
}

/// Method of a communication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Telephone.
    Phone,
    /// In person.
    InPerson,
    /// Message with acknowledgement.
    SecureMessage,
    /// Other method.
    Other,
}

/// Communication status of a critical result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticalCommunication {
    /// No critical result.
    None,
    /// Not communicated yet.
    Outstanding,
    /// Communicated.
    Communicated,
}

wire_enum! {
    Method: Phone = "phone", InPerson = "in_person", SecureMessage = "secure_message",
        Other = "other";
    CriticalCommunication: None = "none", Outstanding = "outstanding",
        Communicated = "communicated";
}

impl Report {
    /// Returns the communication status of the current critical mark.
    pub fn critical_communication(&self) -> CriticalCommunication {
        match (self.critical_since, self.is_communicated()) {
            (None, _) => CriticalCommunication::None,
            (Some(_), false) => CriticalCommunication::Outstanding,
            (Some(_), true) => CriticalCommunication::Communicated,
        }
    }

    /// Returns whether the current critical mark has been communicated.
    fn is_communicated(&self) -> bool {
        self.critical_communications().next().is_some()
    }

    /// Returns the communications since the report was marked critical or the result was raised again, in order.
    pub fn critical_communications(&self) -> impl Iterator<Item = &Communication> {
        let since = self.critical_since.unwrap_or(u64::MAX);
        let noted = self.communications.iter();
        noted.filter(move |communication| communication.version > since)
    }

    /// Returns the communications of released content, in order, as shown to callers without draft access: those
    /// recorded up to the signature, those of a result that was signed as critical, and all once the report is final.
    pub fn released_communications(&self) -> impl Iterator<Item = &Communication> {
        let last = match &self.progress {
            Lifecycle::Draft => 0,
            Lifecycle::Preliminary { .. } | Lifecycle::Cancelled { .. } => {
                match self.signed_version() {
                    None => 0,
                    Some(release) if release.facts.critical_result => u64::MAX,
                    Some(release) => release.version,
                }
            }
            Lifecycle::Final { .. } | Lifecycle::Corrected { .. } => u64::MAX,
        };
        let noted = self.communications.iter();
        noted.filter(move |communication| communication.version <= last)
    }

    /// Returns the raised critical result, if it has not been communicated.
    pub fn open_critical(&self) -> Option<&RaisedCriticalResult> {
        self.critical.as_ref().filter(|_| !self.is_communicated())
    }

    /// Marks the report as critical or not. A raised result is withdrawn only by a signature, an addendum or the
    /// cancellation.
    pub(super) fn set_critical(&mut self, critical: bool) {
        self.critical_result = critical;
        match (critical, self.critical_since) {
            (true, None) => {
                let is_draft = self.status() == Status::Draft;
                self.critical_since = Some(if is_draft { self.begun } else { self.facts });
            }
            (false, Some(_)) if self.critical.is_none() => self.critical_since = None,
            (true, Some(_)) | (false, _) => {}
        }
    }

    /// Marks the report as critical or not, by a signature or an addendum.
    pub(super) fn set_signed_critical(&mut self, critical: bool) {
        if !critical {
            self.critical = None;
        }
        self.set_critical(critical);
    }
}

/// Returns the event that raises the critical result of a report with this signed impression.
pub(super) fn raise(
    report: &Report,
    notice: CriticalNotice,
    impression: Option<PhiText>,
    now: Timestamp,
) -> Event {
    let wait = i64::try_from(notice.critical_deadline.as_millis()).unwrap_or(i64::MAX);
    let deadline = Timestamp::from_millis(now.as_millis().saturating_add(wait));
    Event::CriticalResult(CriticalResult {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        imaging_order_id: notice.imaging_order_id.or(report.imaging_order_id),
        ordering_practitioner_id: notice.ordering_practitioner_id,
        raised_at: now,
        deadline: deadline.unwrap_or(now),
        phi: Some(CriticalResultPhi { impression }),
    })
}

pub(super) fn communicate(
    report: &Report,
    new: NewCommunication,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    if report.status() == Status::Cancelled {
        return Err(Error::Refused {
            status: Status::Cancelled,
            operation: Operation::Communicate,
        });
    }
    if report.has_communication(&new) {
        return Ok(Vec::new());
    }
    Ok(vec![communicated(report, new, context)?])
}

pub(super) fn communicated(
    report: &Report,
    new: NewCommunication,
    context: &Context,
) -> Result<Event, Error> {
    let ahead = new.communicated_at.as_millis() - context.now.as_millis();
    if ahead > CLOCK_SKEW_MS {
        return Err(Error::CommunicatedInFuture);
    }
    Ok(Event::CriticalResultCommunicated(
        CriticalResultCommunicated {
            report_id: report.id(),
            imaging_study_id: report.imaging_study_id,
            patient_id: report.patient_id,
            facts: CommunicationRecord {
                communication_id: context.fresh_id.into(),
                method: new.method,
                communicated_at: new.communicated_at,
                read_back: new.read_back,
                communicated_by_radiologist_id: new.radiologist_id,
                noted_at: context.now,
            },
            phi: Some(CommunicationPhi {
                recipient: new.recipient,
                note: new.note,
            }),
        },
    ))
}

impl Report {
    /// Returns whether the same communication is already recorded.
    pub(super) fn has_communication(&self, new: &NewCommunication) -> bool {
        self.find_communication(new).is_some()
    }

    /// Returns the recorded communication that equals `new`. Communications recorded before the report was marked
    /// critical, or before the result was raised again, concern another result and are ignored.
    pub fn find_communication(&self, new: &NewCommunication) -> Option<&Communication> {
        let since = self.critical_since.unwrap_or(0);
        let mut noted = self.communications.iter();
        noted.find(|communication| {
            if communication.version <= since {
                return false;
            }
            let facts = &communication.facts;
            let told = self
                .phi
                .as_ref()
                .and_then(|phi| phi.communication_text(communication.version));
            facts.method == new.method
                && facts.communicated_at == new.communicated_at
                && facts.read_back == new.read_back
                && facts.communicated_by_radiologist_id == new.radiologist_id
                && told.is_some_and(|text| text.recipient == new.recipient && text.note == new.note)
        })
    }
}

pub(super) fn mark_overdue(report: &Report, context: &Context) -> Result<Vec<Event>, Error> {
    let Some(critical) = report.open_critical().filter(|critical| !critical.overdue) else {
        return Ok(Vec::new());
    };
    if context.now < critical.deadline {
        return Err(Error::NotDue);
    }
    Ok(vec![Event::CriticalResultOverdue(CriticalResultOverdue {
        report_id: report.id(),
        imaging_study_id: report.imaging_study_id,
        patient_id: report.patient_id,
        deadline: critical.deadline,
    })])
}
