//! Orders of the reference model: a table of ranks, and one rule after the other.

use serde_json::{Value, json};

use super::trace::{NewOrder, OrderRef, Patch, Time};

const RANKS: [&str; 5] = [
    "requested",
    "scheduled",
    "in_progress",
    "completed",
    "cancelled",
];

#[derive(Debug, Clone)]
pub(super) struct Order {
    status: &'static str,
    slot: Option<u8>,
    start: Option<Time>,
    end: Option<Time>,
    reason: Option<u8>,
    metadata: Option<u8>,
    patient: u8,
    urgent: bool,
    /// Code, name and modality of the procedure at the time of the order.
    procedure: (u8, u8, Option<u8>),
    pub(super) version: u64,
}

fn rank(status: &str) -> usize {
    RANKS.iter().take_while(|text| **text != status).count()
}

fn given_and_other<T: PartialEq>(given: Option<T>, is: Option<T>) -> bool {
    given.is_some() && given != is
}

impl Order {
    pub(super) fn new(new: &NewOrder, procedure: (u8, u8, Option<u8>)) -> Self {
        Self {
            status: "requested",
            slot: None,
            start: None,
            end: None,
            reason: None,
            metadata: new.metadata,
            patient: new.patient,
            urgent: new.urgent,
            procedure,
            version: 1,
        }
    }

    pub(super) fn shown(&self, name: OrderRef) -> Value {
        let time = |time: Option<Time>| time.map(|time| format!("{time:?}"));
        let (code, called, modality) = self.procedure;
        json!({
            "name": format!("{name:?}"), "status": self.status, "slot": self.slot,
            "start": time(self.start), "end": time(self.end), "reason": self.reason,
            "metadata": self.metadata, "patient": self.patient, "urgent": self.urgent,
            "procedure": code, "procedure_name": called, "modality": modality,
            "version": self.version,
        })
    }

    pub(super) fn changed(&self, patch: &Patch) -> Result<Self, String> {
        let to = patch.status.unwrap_or(self.status);
        let moves = to != self.status;
        if self.status == "completed" || self.status == "cancelled" {
            let differs = moves || self.differs(patch);
            return if differs {
                Err("final".to_owned())
            } else {
                Ok(self.clone())
            };
        }
        self.allows(patch, to)?;
        let mut after = self.clone();
        after.status = to;
        after.slot = patch.slot.or(self.slot);
        after.metadata = patch.metadata.or(self.metadata);
        after.reason = patch.reason;
        after.start = patch.start.or(self.start);
        if moves && to == "in_progress" {
            after.start = Some(patch.start.unwrap_or(Time::Now));
        }
        if moves && to == "completed" {
            after.end = Some(patch.end.unwrap_or(Time::Now));
            if after.start > after.end {
                return Err("start_after_end".to_owned());
            }
        }
        let slot_told = given_and_other(patch.slot, self.slot) && !(moves && to == "scheduled");
        let start_told = given_and_other(patch.start, self.start) && !moves;
        let metadata_told = given_and_other(patch.metadata, self.metadata);
        after.version += u64::from(slot_told || start_told || metadata_told) + u64::from(moves);
        Ok(after)
    }

    fn allows(&self, patch: &Patch, to: &str) -> Result<(), String> {
        let performed = to == "in_progress" || to == "completed";
        let refused = [
            (rank(to) < rank(self.status), "backwards"),
            (
                patch.reason.is_some() && to != "cancelled",
                "reason_without_cancellation",
            ),
            (
                patch.end.is_some() && to != "completed",
                "end_without_completion",
            ),
            (
                patch.start.is_some() && !performed,
                "start_without_progress",
            ),
        ];
        match refused.iter().find(|(refused, _)| *refused) {
            Some((_, kind)) => Err((*kind).to_owned()),
            None => Ok(()),
        }
    }

    fn differs(&self, patch: &Patch) -> bool {
        given_and_other(patch.slot, self.slot)
            || given_and_other(patch.start, self.start)
            || given_and_other(patch.end, self.end)
            || given_and_other(patch.reason, self.reason)
            || given_and_other(patch.metadata, self.metadata)
    }
}
