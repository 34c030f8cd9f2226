//! What an order does when asked.

use super::{
    Cancelled, CancelledPhi, Completed, Created, DetailsPhi, DetailsUpdated, Error, Event,
    InProgress, NewOrder, Order, Scheduled, Status, Update,
};
use crate::aggregate::Context;
use crate::ids::OrderId;
use crate::time::Timestamp;

pub(super) fn create(new: NewOrder, context: &Context) -> Event {
    let NewOrder {
        patient_id,
        request,
        phi,
    } = new;
    let order_id = OrderId::of(context.tenant_id, &request.accession_number);
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
    let from = order.progress.status();
    let to = update.status.unwrap_or(from);
    if from.is_final() {
        return unchanged(order, &update, to)
            .then(Vec::new)
            .ok_or(Error::Final { status: from });
    }
    if to < from {
        return Err(Error::Backwards { from, to });
    }
    belongs_together(&update, to)?;
    let events = match (
        details(order, &update, from, to),
        step(order, &update, from, to, context)?,
    ) {
        (None, None) => Vec::new(),
        (Some(event), None) | (None, Some(event)) => vec![event],
        (Some(details), Some(step)) => vec![details, step],
    };
    Ok(events)
}

/// Asked of a final order, whatever it already is may be asked again. PHI that is erased cannot differ.
fn unchanged(order: &Order, update: &Update, to: Status) -> bool {
    let Update {
        status: _,
        scheduled_slot_id,
        performed_start_at,
        performed_end_at,
        ..
    } = update;
    let phi = order.phi.as_ref();
    let same_reason = match (&update.cancellation_reason, phi) {
        (Some(asked), Some(phi)) => phi.cancellation_reason.as_ref() == Some(asked),
        (Some(_), None) | (None, _) => true,
    };
    let same_metadata = match (&update.metadata, phi) {
        (Some(asked), Some(phi)) => phi.metadata.as_ref() == Some(asked),
        (Some(_), None) | (None, _) => true,
    };
    to == order.progress.status()
        && same(*scheduled_slot_id, order.scheduled_slot_id)
        && same(*performed_start_at, order.progress.performed_start_at())
        && same(*performed_end_at, order.performed_end_at())
        && same_reason
        && same_metadata
}

fn same<T: PartialEq>(asked: Option<T>, is: Option<T>) -> bool {
    asked.is_none() || asked == is
}

/// Each time and reason goes with the status it belongs to.
fn belongs_together(update: &Update, to: Status) -> Result<(), Error> {
    if update.cancellation_reason.is_some() && to != Status::Cancelled {
        return Err(Error::ReasonWithoutCancellation);
    }
    if update.performed_end_at.is_some() && to != Status::Completed {
        return Err(Error::EndWithoutCompletion);
    }
    let performed = to == Status::InProgress || to == Status::Completed;
    if update.performed_start_at.is_some() && !performed {
        return Err(Error::StartWithoutProgress);
    }
    Ok(())
}

/// The step from one status to another, where there is one.
fn step(
    order: &Order,
    update: &Update,
    from: Status,
    to: Status,
    context: &Context,
) -> Result<Option<Event>, Error> {
    if from == to {
        return Ok(None);
    }
    let (order_id, patient_id) = (order.id(), order.patient_id);
    let event = match to {
        Status::Requested => return Err(Error::Backwards { from, to }),
        Status::Scheduled => Event::Scheduled(Scheduled {
            order_id,
            patient_id,
            scheduled_slot_id: update.scheduled_slot_id,
        }),
        Status::InProgress => Event::InProgress(InProgress {
            order_id,
            patient_id,
            performed_start_at: update.performed_start_at.unwrap_or(context.now),
        }),
        Status::Completed => Event::Completed(complete(order, update, context.now)?),
        Status::Cancelled => Event::Cancelled(Cancelled {
            order_id,
            patient_id,
            phi: update
                .cancellation_reason
                .clone()
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
        .or(order.progress.performed_start_at());
    let end = update.performed_end_at.unwrap_or(now);
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

/// What changes beside the step and is not told by it.
fn details(order: &Order, update: &Update, from: Status, to: Status) -> Option<Event> {
    let told_by_step = from != to && to == Status::Scheduled;
    let slot = update
        .scheduled_slot_id
        .filter(|slot| !told_by_step && order.scheduled_slot_id != Some(*slot));
    let start = update
        .performed_start_at
        .filter(|start| from == to && order.progress.performed_start_at() != Some(*start));
    let known = order.phi.as_ref().and_then(|phi| phi.metadata.as_ref());
    let metadata = update.metadata.clone().filter(|asked| known != Some(asked));
    if slot.is_none() && start.is_none() && metadata.is_none() {
        return None;
    }
    Some(Event::DetailsUpdated(DetailsUpdated {
        order_id: order.id(),
        patient_id: order.patient_id,
        scheduled_slot_id: slot,
        performed_start_at: start,
        phi: metadata.map(|metadata| DetailsPhi { metadata }),
    }))
}
