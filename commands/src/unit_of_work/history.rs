//! Backward reads of a stream's history.

use roentgen_domain::ids::{PractitionerId, StreamId};
use roentgen_domain::{Aggregate, EventMetadata, Timestamp};
use roentgen_store::log::StoredEvent;

use super::UnitOfWork;
use crate::error::CommandError;

/// Number of events per backward read.
const BACKWARD_PAGE: u32 = 50;

impl UnitOfWork<'_> {
    /// Returns the time of a practitioner's last activity on an aggregate, if it was not before `since`. The append
    /// expects the version that was read.
    pub(crate) async fn last_activity_by<A: Aggregate>(
        &mut self,
        id: impl Into<StreamId>,
        by: PractitionerId,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, CommandError> {
        let stream_id = id.into();
        let Some(state) = self.read::<A>(stream_id).await? else {
            return Ok(None);
        };
        let mut before = state.version + 1;
        while before > 1 {
            let after = before.saturating_sub(1 + u64::from(BACKWARD_PAGE));
            let events = self.reads.stream(stream_id, after, BACKWARD_PAGE).await?;
            let recent = events
                .iter()
                .rev()
                .filter(|event| event.version < before)
                .take_while(|event| event.recorded_at() >= since);
            if let Some(word) = recent.clone().find(|event| is_by(event, by)) {
                return Ok(Some(word.recorded_at()));
            }
            let whole_page = recent.count() as u64 == before - 1 - after;
            before = if whole_page { after + 1 } else { 1 };
        }
        Ok(None)
    }
}

fn is_by(event: &StoredEvent, practitioner: PractitionerId) -> bool {
    let metadata: Result<EventMetadata, _> = serde_json::from_str(&event.metadata);
    metadata.is_ok_and(|metadata| metadata.actor.practitioner_id == Some(practitioner))
}
