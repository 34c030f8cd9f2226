//! Decisions on the commands of an order.

use super::{
    Cancelled, CancelledPhi, Completed, Created, DetailsPhi, DetailsUpdated, Error, Event,
    InProgress, NewOrder, Order, Scheduled, Status, Update,
};
use crate::aggregate::Context;
use crate::change::Change;
use crate::ids::OrderId;
use crate::phi;
use crate::time::Timestamp;

pub(super) fn create(new: NewOrder, context: &Context) -> Event {
    let NewOrder {
        patient_id,
        request,
        phi,
    } = new;
    let order_id = OrderId::derive(context.tenant_id, &request.accession_number);
    Event::Created(Box::new(Created {
        order_id,
        patient_id,
        request,
        status: Status::Requested,
        phi: Some(phi),
    }))
}

pub(super) fn update(
    order: &Order,
    update: Update,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let update = laid_over(order, update)?;
    let from = order.progress.status();
    let to = update.status.unwrap_or(from);
    if from.is_final() {
        return unchanged(order, &update, to)
            .then(Vec::new)
            .ok_or(Error::Final { status: from });
    }
    if to < from {
        return Err(Error::InvalidTransition { from, to });
    }
    check_status_fields(order, &update, to)?;
    let events = match (
        details_updated(order, &update, from, to),
        transition(order, &update, from, to, context)?,
    ) {
        (None, None) => Vec::new(),
        (Some(event), None) | (None, Some(event)) => vec![event],
        (Some(details), Some(step)) => vec![details, step],
    };
    Ok(events)
}

/// Replaces the metadata patch of the update by the complete metadata.
fn laid_over(order: &Order, update: Update) -> Result<Update, Error> {
    let before = order.phi.as_ref().and_then(|phi| phi.metadata.as_ref());
    let metadata = phi::patched(before, update.metadata).map_err(Error::Metadata)?;
    Ok(Update { metadata, ..update })
}

/// Returns whether the update matches the current state: a final order accepts such an update. Erased PHI cannot
/// differ.
fn unchanged(order: &Order, update: &Update, to: Status) -> bool {
    let Update {
        status: _,
        scheduled_slot_id,
        performed_start_at,
        performed_end_at,
        cancellation_reason,
        metadata,
    } = update;
    let start = order.progress.performed_start_at();
    let end = order.performed_end_at();
    to == order.progress.status()
        && is_already(scheduled_slot_id, order.scheduled_slot_id.as_ref())
        && is_already(performed_start_at, start.as_ref())
        && is_already(performed_end_at, end.as_ref())
        && order.phi.as_ref().is_none_or(|phi| {
            is_already(cancellation_reason, phi.cancellation_reason.as_ref())
                && is_already(metadata, phi.metadata.as_ref())
        })
}

fn is_already<T: Clone + PartialEq>(asked: &Change<T>, current: Option<&T>) -> bool {
    asked.clone().unless_already(current).is_keep()
}

/// Checks that each time and reason is given only with the status it belongs to.
fn check_status_fields(order: &Order, update: &Update, to: Status) -> Result<(), Error> {
    let is_said = |asked: &Change<Timestamp>| asked.value().is_some();
    if matches!(update.cancellation_reason, Change::Set(_)) && to != Status::Cancelled {
        return Err(Error::ReasonWithoutCancellation);
    }
    if is_said(&update.performed_end_at) && to != Status::Completed {
        return Err(Error::EndWithoutCompletion);
    }
    let performed = to == Status::InProgress || to == Status::Completed;
    if is_said(&update.performed_start_at) && !performed {
        return Err(Error::StartWithoutProgress);
    }
    let was_begun = order.progress.performed_start_at().is_some();
    if update.performed_start_at == Change::Clear && (was_begun || to == Status::InProgress) {
        return Err(Error::StartTakenAway);
    }
    if update.performed_end_at == Change::Clear && to == Status::Completed {
        return Err(Error::EndTakenAway);
    }
    Ok(())
}

/// Returns the event of a status change, if the status changes.
fn transition(
    order: &Order,
    update: &Update,
    from: Status,
    to: Status,
    context: &Context,
) -> Result<Option<Event>, Error> {
    if from == to {
        return Ok(None);
    }
    let order_id = order.id();
    let patient_id = order.patient_id;
    let event = match to {
        Status::Requested => return Err(Error::InvalidTransition { from, to }),
        Status::Scheduled => Event::Scheduled(Scheduled {
            order_id,
            patient_id,
            scheduled_slot_id: update.scheduled_slot_id.value(),
        }),
        Status::InProgress => Event::InProgress(InProgress {
            order_id,
            patient_id,
            performed_start_at: update.performed_start_at.value().unwrap_or(context.now),
        }),
        Status::Completed => Event::Completed(complete(order, update, context.now)?),
        Status::Cancelled => Event::Cancelled(Cancelled {
            order_id,
            patient_id,
            phi: update
                .cancellation_reason
                .clone()
                .value()
                .map(|cancellation_reason| CancelledPhi {
                    cancellation_reason,
                }),
        }),
    };
    Ok(Some(event))
}

fn complete(order: &Order, update: &Update, now: Timestamp) -> Result<Completed, Error> {
    let start = update
        .performed_start_at
        .apply(order.progress.performed_start_at());
    let end = update.performed_end_at.value().unwrap_or(now);
    if start.is_some_and(|start| start > end) {
        return Err(Error::StartAfterEnd);
    }
    Ok(Completed {
        order_id: order.id(),
        patient_id: order.patient_id,
        performed_start_at: start,
        performed_end_at: end,
    })
}

/// Returns the event of changes that the status event does not contain, if any.
fn details_updated(order: &Order, update: &Update, from: Status, to: Status) -> Option<Event> {
    let slot = match update.scheduled_slot_id {
        Change::Set(_) if from != to && to == Status::Scheduled => Change::Keep,
        asked @ (Change::Keep | Change::Clear | Change::Set(_)) => {
            asked.unless_already(order.scheduled_slot_id.as_ref())
        }
    };
    let start = update
        .performed_start_at
        .value()
        .filter(|start| from == to && order.progress.performed_start_at() != Some(*start));
    let known = order.phi.as_ref().and_then(|phi| phi.metadata.as_ref());
    let metadata = update.metadata.clone().unless_already(known);
    if slot.is_keep() && start.is_none() && metadata.is_keep() {
        return None;
    }
    Some(Event::DetailsUpdated(DetailsUpdated {
        order_id: order.id(),
        patient_id: order.patient_id,
        scheduled_slot_id: slot,
        performed_start_at: start,
        phi: Some(DetailsPhi { metadata }).filter(|phi| !phi.metadata.is_keep()),
    }))
}
