//! Predicts the head that a batch finds when it gets the append lock.
//!
//! A batch is sent with chain hashes that continue this node's last batch, as if no other node had written since and
//! every append were written. Usually the prediction is right, and the database has nothing to hash; otherwise the
//! database computes the chain hashes.

use crate::chain::{Digest, Head};
use crate::log::{AppendBatch, AppendOutcome, BatchOutcome};

/// Head of the log after this node's last batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct PredictedHead {
    pub(super) head: Head,
    recorded_at_ms: i64,
}

/// Chain hashes of a batch, valid if the batch finds `head` and every append is written; empty if no head is known.
#[derive(Debug, Default)]
pub(super) struct PrecomputedLinks {
    pub(super) head: Head,
    pub(super) recorded_at_ms: i64,
    pub(super) links: Vec<Digest>,
}

impl PredictedHead {
    /// Returns the head after the batch's written appends.
    pub(super) fn after(batch: &AppendBatch<'_>, outcome: &BatchOutcome) -> Self {
        let each = batch.appends.iter().zip(&outcome.verdicts);
        let winners = each.filter(|(_, verdict)| **verdict == AppendOutcome::Written);
        let leaves = winners.flat_map(|(prepared, _)| &prepared.leaves);
        let mut head = outcome.before;
        let recorded_at_ms = outcome.recorded_at_ms;
        head.extend(recorded_at_ms, leaves);
        Self {
            head,
            recorded_at_ms,
        }
    }
}

impl PrecomputedLinks {
    /// Computes the chain hashes. A resend gets none, because some of its events may already be in the log.
    pub(super) fn compute(
        batch: &AppendBatch<'_>,
        outlook: Option<PredictedHead>,
        now_ms: i64,
    ) -> Self {
        let Some(outlook) = outlook.filter(|_| !batch.resend) else {
            return Self::default();
        };
        let recorded_at_ms = now_ms.max(outlook.recorded_at_ms);
        let leaves = batch.appends.iter().flat_map(|append| &append.leaves);
        let mut head = outlook.head;
        Self {
            links: head.extend(recorded_at_ms, leaves),
            head: outlook.head,
            recorded_at_ms,
        }
    }
}
