//! Whose PHI the feed opens to whom: the one place that decides it, event by event.

use crate::authorization::Permission;
use crate::identity::Caller;
use crate::problem::Problem;

/// What a reader of the feed sees of PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhiVisibility {
    /// Nothing.
    None,
    /// What the event itself released: no drafts, and nothing that a machine said.
    Released,
    /// Everything.
    All,
}

impl PhiVisibility {
    /// What a caller who asks for PHI sees.
    pub(super) fn for_caller(caller: &Caller) -> Result<Self, Problem> {
        caller.require(Permission::ReadFeedPhi)?;
        Ok(if Permission::ReadDrafts.is_granted_to(&caller.roles) {
            Self::All
        } else {
            Self::Released
        })
    }

    /// Whether the PHI of an event of this type is among it.
    pub(super) fn includes(self, event_type: &str) -> bool {
        match self {
            Self::None => false,
            Self::Released => is_released(event_type),
            Self::All => true,
        }
    }
}

/// Whether an event's words were released when it happened. What is not named here stays sealed: drafts, which a later
/// signature does not release event by event; communications and cancellations, which may be a draft's; AI outputs and
/// what was said of them.
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
