//! Warnings of a sync: members that were left out although the rest was accepted.

use roentgen_domain::Timestamp;
use roentgen_domain::study::Study;
use roentgen_domain::time::ParsedTime;
use serde::Serialize;
use utoipa::ToSchema;

/// Member that was left out of a sync.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct Warning {
    /// JSON pointer (RFC 6901) into the body.
    pointer: &'static str,
    /// Reason.
    detail: &'static str,
}

/// Clinical times of a sync, as sent. An impossible time does not reject the images.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReportedTimes {
    pub(super) started_at: Option<ParsedTime>,
    pub(super) ended_at: Option<ParsedTime>,
}

impl ReportedTimes {
    /// Returns a warning for each time that was left out, by comparison with the study after the sync. An idempotent
    /// retry returns the study of the first response, and therefore the same warnings.
    pub(super) fn warnings(self, study: &Study) -> Vec<Warning> {
        let details = &study.details;
        let sent = [
            ("/started_at", self.started_at, details.started_at),
            ("/ended_at", self.ended_at, details.ended_at),
        ];
        let warnings = sent.into_iter().filter_map(|(pointer, sent, kept)| {
            let detail = left_out(sent?, kept)?;
            Some(Warning { pointer, detail })
        });
        warnings.collect()
    }
}

fn left_out(sent: ParsedTime, kept: Option<Timestamp>) -> Option<&'static str> {
    match sent {
        ParsedTime::Held(time) if kept == Some(time) => None,
        ParsedTime::Held(_) => Some("was left out: the study would end before it starts"),
        ParsedTime::TooEarly | ParsedTime::TooLate => {
            Some("was left out: it is before the year 0000 or after 9999-12-30T22:00:00Z")
        }
    }
}
