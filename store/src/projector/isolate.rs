//! Bisects a batch that cannot be written until one event is left, parks that event's stream, and projects the others.
//!
//! Each half is a separate batch with its checkpoint, so that rows and checkpoint advance together here too. A failure
//! that no row causes ends the attempt and parks nothing. A failure that a row causes only if others pass (see
//! [`FailureScope`]) parks the stream in the transaction that writes the next event of another stream.

use std::collections::HashSet;
use std::sync::Arc;

use roentgen_domain::ids::StreamId;

use super::{FoldedBatchReady, Projector};
use crate::error::EngineError;
use crate::lease::Leases;
use crate::log::StoredEvent;
use crate::projection::batch::{ProjectedTable, min_checkpoint};
use crate::projection::failure_scope::{FailureScope, reason};
use crate::projection::live_tables;
use crate::read_model::ParkedStream;

type Events = [Arc<StoredEvent>];

/// Outcome of writing a part of the batch.
enum WriteAttempt {
    /// This number of events was projected.
    Written(usize),
    /// Another projector advanced a checkpoint, or this one must stop.
    Lost,
}

/// Batch that is bisected.
struct BatchBisection<'a> {
    projector: &'a Projector,
    members: Vec<ProjectedTable>,
    parked: HashSet<(String, StreamId)>,
    /// Whether this node projects all tables, and therefore reports their progress.
    leads_all: bool,
}

impl Projector {
    /// Projects the next batch in parts after it failed as a whole, and parks the stream that makes a part fail.
    ///
    /// # Errors
    /// `failure`, or a later error, if no stream is to blame; nothing was parked.
    pub(super) async fn isolate(
        &self,
        leases: &Leases,
        failure: EngineError,
    ) -> Result<(), EngineError> {
        if FailureScope::classify(&failure) == FailureScope::NoRow {
            return Err(failure);
        }
        let mut members = live_tables::load_live_tables(&*self.engine, &self.projections).await?;
        let all = members.len();
        members.retain(|member| leases.holds(&member.table.model.schema_name()));
        if members.is_empty() {
            return Err(failure);
        }
        let parked = self.engine.parked().await?.into_iter();
        let isolation = BatchBisection {
            projector: self,
            leads_all: members.len() == all,
            members,
            parked: parked
                .map(|parked| (parked.model, parked.stream_id))
                .collect(),
        };
        isolation.run(leases, failure).await
    }
}

impl BatchBisection<'_> {
    async fn run(mut self, leases: &Leases, failure: EngineError) -> Result<(), EngineError> {
        let position = min_checkpoint(&self.members).position;
        let events = self.projector.events_after(position).await?;
        if events.is_empty() {
            return Err(failure);
        }
        let mut left = events.as_slice();
        let mut width = left.len().div_ceil(2);
        while !left.is_empty() && !self.projector.has_changed(leases) {
            let part = left.get(..width).unwrap_or(left);
            match self.write(part, &[]).await {
                Ok(WriteAttempt::Written(count)) => left = left.get(count..).unwrap_or_default(),
                Ok(WriteAttempt::Lost) => return Ok(()),
                Err(error) if FailureScope::classify(&error) == FailureScope::NoRow => {
                    return Err(error);
                }
                Err(_) if part.len() > 1 => width = part.len() / 2,
                Err(error) => return self.park(left, error).await,
            }
        }
        Ok(())
    }

    /// Folds and writes as many of the events as fit into a batch, and parks these streams in the same batch.
    async fn write(
        &mut self,
        events: &Events,
        parked: &[ParkedStream],
    ) -> Result<WriteAttempt, EngineError> {
        let newly = parked
            .iter()
            .map(|parked| (parked.model.clone(), parked.stream_id));
        let newly: HashSet<_> = newly.collect();
        let all_parked = &self.parked | &newly;
        let folded = self
            .projector
            .fold(&self.members, &all_parked, events.to_vec(), &[]);
        let Some(mut ready) = folded.await? else {
            return Ok(WriteAttempt::Lost);
        };
        ready.folded.left_out.retain(|pair| !newly.contains(pair));
        ready.folded.parked.extend_from_slice(parked);
        self.settle(ready).await
    }

    async fn settle(&mut self, ready: FoldedBatchReady) -> Result<WriteAttempt, EngineError> {
        let mut members = self.members.clone();
        let batch = ready.folded.into_projection_batch(&mut members, ready.to);
        if !self.projector.write(&batch).await? {
            return Ok(WriteAttempt::Lost);
        }
        let parked = batch.parked.into_iter();
        self.parked
            .extend(parked.map(|parked| (parked.model, parked.stream_id)));
        self.members = members;
        let progress = Some(&self.projector.progress).filter(|_| self.leads_all);
        let position = min_checkpoint(&self.members).position;
        self.projector.note(progress, position, ready.events);
        Ok(WriteAttempt::Written(ready.events))
    }

    /// Parks the stream of the first event, in one table if that is enough.
    async fn park(&mut self, left: &Events, failure: EngineError) -> Result<(), EngineError> {
        let Some(guilty) = left.first() else {
            return Err(failure);
        };
        let events = match FailureScope::classify(&failure) {
            FailureScope::NoRow => None,
            FailureScope::Row => left.get(..1),
            FailureScope::RowIfOthersPass => self.up_to_another(left),
        };
        let Some(events) = events else {
            return Err(failure);
        };
        let reason = reason(&failure);
        let tables = self.tables_of(guilty);
        let one_by_one = tables.iter().map(std::slice::from_ref);
        let together = Some(tables.as_slice()).filter(|tables| tables.len() > 1);
        for tables in one_by_one.chain(together) {
            let parked = parked_in(tables, guilty, &reason);
            match self.write(events, &parked).await {
                Ok(_) => {
                    let stream_id = guilty.stream_id;
                    tracing::error!(
                        event = "projector.stream_parked",
                        %stream_id,
                        ?tables,
                        reason,
                        "stream parked",
                    );
                    return Ok(());
                }
                Err(error) if FailureScope::classify(&error) == FailureScope::NoRow => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Returns the tables that the event has to be folded into.
    fn tables_of(&self, event: &StoredEvent) -> Vec<String> {
        let members = self.members.iter();
        let folding = members.filter(|member| {
            member.projection.stream_type() == &*event.stream_type
                && member.checkpoint.position < event.position
        });
        let names = folding.map(|member| member.table.name());
        names
            .filter(|name| !self.parked.contains(&(name.clone(), event.stream_id)))
            .collect()
    }

    /// Returns the events up to and including the first one of another stream that is folded into a table.
    fn up_to_another<'e>(&self, left: &'e Events) -> Option<&'e Events> {
        let guilty = left.first()?.stream_id;
        let another = left
            .iter()
            .position(|event| event.stream_id != guilty && !self.tables_of(event).is_empty())?;
        left.get(..=another)
    }
}

fn parked_in(tables: &[String], event: &StoredEvent, reason: &str) -> Vec<ParkedStream> {
    let parked = tables.iter().map(|table| ParkedStream {
        model: table.clone(),
        stream_id: event.stream_id,
        position: event.position,
        reason: reason.to_owned(),
    });
    parked.collect()
}
