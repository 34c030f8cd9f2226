//! Decides for each event which PHI the feed opens to its reader.

use crate::authorization::Permission;
use crate::identity::Caller;
use crate::problem::Problem;

/// PHI that a reader of the feed sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhiVisibility {
    /// No PHI.
    None,
    /// PHI of events that release their content: no drafts, no AI content.
    Released,
    /// All PHI.
    All,
}

impl PhiVisibility {
    /// Returns the visibility for a caller that requests PHI.
    pub(super) fn for_caller(caller: &Caller) -> Result<Self, Problem> {
        caller.require(Permission::ReadFeedPhi)?;
        Ok(if Permission::ReadDrafts.is_granted_to(&caller.roles) {
            Self::All
        } else {
            Self::Released
        })
    }

    /// Returns whether PHI of this event type is visible.
    pub(super) fn includes(self, event_type: &str) -> bool {
        match self {
            Self::None => false,
            Self::Released => is_released(event_type),
            Self::All => true,
        }
    }
}

/// Returns whether an event of this type releases its content. All other types stay sealed: drafts, which a later
/// signature does not release retroactively; communications and cancellations, which may belong to a draft; AI outputs
/// and their reviews.
fn is_released(event_type: &str) -> bool {
    matches!(
        event_type,
        "ImagingOrder.Created"
            | "ImagingOrder.DetailsUpdated"
            | "ImagingOrder.Cancelled"
            | "ImagingStudy.Available"
            | "ImagingStudy.Updated"
            | "RadiologyWorklistItem.Created"
            | "RadiologyReport.AddendumAdded"
            | "RadiologyReport.CriticalResult"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_and_the_machines_words_stay_sealed_to_who_reads_what_was_released() {
        for sealed in [
            "RadiologyReport.Created",
            "RadiologyReport.Updated",
            "RadiologyReport.AiSuggestionReviewed",
            "RadiologyReport.Cancelled",
            "ImagingAI.OutputCreated",
            "Whatever.ComesLater",
        ] {
            assert!(!PhiVisibility::Released.includes(sealed), "{sealed}");
            assert!(PhiVisibility::All.includes(sealed), "{sealed}");
        }
        for released in ["ImagingOrder.Created", "RadiologyReport.CriticalResult"] {
            assert!(PhiVisibility::Released.includes(released), "{released}");
            assert!(!PhiVisibility::None.includes(released), "{released}");
        }
    }
}
