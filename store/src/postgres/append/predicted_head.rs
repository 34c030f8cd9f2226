//! What a batch will probably find when it gets the append lock.
//!
//! A batch goes out linked to the end of this node's last one, as if no other node had written since and every append
//! wins. As a rule that is so, and the database has nothing to hash; where it is not, the database links the batch.

use crate::chain::{self, Digest};
use crate::log::{AppendBatch, AppendOutcome, BatchOutcome, Head};

/// Where the log ended after this node's last batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct PredictedHead {
    pub(super) head: Head,
    recorded_at_ms: i64,
}

/// A batch's links if `head` is what it finds and every append wins; no links where nothing is known.
#[derive(Debug, Default)]
pub(super) struct PrecomputedLinks {
    pub(super) head: Head,
    pub(super) recorded_at_ms: i64,
    pub(super) links: Vec<Digest>,
}

impl PredictedHead {
    /// After the batch's winners.
    pub(super) fn after(batch: &AppendBatch<'_>, outcome: &BatchOutcome) -> Self {
        let each = batch.appends.iter().zip(&outcome.verdicts);
        let winners = each.filter(|(_, verdict)| **verdict == AppendOutcome::Written);
        let leaves = winners.flat_map(|(prepared, _)| &prepared.leaves);
        let mut head = outcome.before;
        let recorded_at_ms = outcome.recorded_at_ms;
        chain::extend(&mut head, recorded_at_ms, leaves);
        Self {
            head,
            recorded_at_ms,
        }
    }
}

impl PrecomputedLinks {
    /// A resend may find some of itself in the log: it is not foretold.
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
            links: chain::extend(&mut head, recorded_at_ms, leaves),
            head: outlook.head,
            recorded_at_ms,
        }
    }
}
