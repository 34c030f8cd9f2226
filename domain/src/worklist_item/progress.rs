//! Lifecycle and holder of a worklist item.

use serde::{Deserialize, Serialize};

use crate::ids::PractitionerId;
use crate::time::Timestamp;
use crate::wire_enum;

/// Lifecycle of an item, with its radiologist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Waiting for a claim.
    Pending,
    /// Claimed, not started.
    Claimed(Assignment),
    /// Claimed, being read.
    InProgress(Assignment),
    /// Read.
    Completed {
        /// Holder at completion; `None` if the report was signed before anybody claimed the item.
        #[serde(skip_serializing_if = "Option::is_none")]
        assigned_radiologist_id: Option<PractitionerId>,
        /// Time of the claim.
        #[serde(skip_serializing_if = "Option::is_none")]
        claimed_at: Option<Timestamp>,
    },
    /// Not to be read.
    Cancelled,
}

/// Assignment of an item to its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Radiologist.
    pub assigned_radiologist_id: PractitionerId,
    /// Time of the claim.
    pub claimed_at: Timestamp,
}

/// Name of a [`Lifecycle`] state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for a claim.
    Pending,
    /// Claimed, not started.
    Claimed,
    /// Being read.
    InProgress,
    /// Read.
    Completed,
    /// Not to be read.
    Cancelled,
}

wire_enum! {
    Status: Pending = "pending", Claimed = "claimed", InProgress = "in_progress",
        Completed = "completed", Cancelled = "cancelled";
}

impl Lifecycle {
    /// Returns the status.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Claimed(_) => Status::Claimed,
            Self::InProgress(_) => Status::InProgress,
            Self::Completed { .. } => Status::Completed,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

impl Status {
    /// Statuses of items that still have to be read.
    pub const OPEN: [Self; 3] = [Self::Pending, Self::Claimed, Self::InProgress];

    /// Returns whether the status is open.
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Claimed | Self::InProgress => true,
            Self::Completed | Self::Cancelled => false,
        }
    }
}
