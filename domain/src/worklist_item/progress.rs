//! How far an item is, and who holds it.

use serde::{Deserialize, Serialize};

use crate::ids::PractitionerId;
use crate::time::Timestamp;
use crate::wire_enum;

/// How far an item is, with the radiologist it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Waits for somebody to claim it.
    Pending,
    /// Held, and not begun.
    Claimed(Assignment),
    /// Held, and being read.
    InProgress(Assignment),
    /// Read.
    Completed {
        /// Who held it then; nobody, where the report was signed before anybody claimed it.
        #[serde(skip_serializing_if = "Option::is_none")]
        assigned_radiologist_id: Option<PractitionerId>,
        /// Since when.
        #[serde(skip_serializing_if = "Option::is_none")]
        claimed_at: Option<Timestamp>,
    },
    /// Not to be read.
    Cancelled,
}

/// Who holds an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The radiologist.
    pub assigned_radiologist_id: PractitionerId,
    /// Since when.
    pub claimed_at: Timestamp,
}

/// The name of a [`Lifecycle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits.
    Pending,
    /// Held.
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
    /// Its name.
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
    /// The states in which somebody has still to read it.
    pub const OPEN: [Self; 3] = [Self::Pending, Self::Claimed, Self::InProgress];

    /// Whether it is one of them.
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Claimed | Self::InProgress => true,
            Self::Completed | Self::Cancelled => false,
        }
    }
}
