//! Decisions of a worklist item.

use super::{
    AiContribution, Assignment, Attention, Authority, Claim, Claimed, Command, Created, CreatedPhi,
    Error, Event, Lifecycle, LinkedOrder, MAX_PARTS, NewItem, Priority, ReleaseReason, Released,
    RequestedStatus, Status, Update, Updated, WorklistItem,
};
use crate::aggregate::{Aggregate, Context};
use crate::change::Change;
use crate::ids::{OrderId, PractitionerId, WorklistItemId};
use crate::order;
use crate::time::Timestamp;

pub(super) fn create(
    state: Option<&WorklistItem>,
    new: NewItem,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    match state.map(WorklistItem::status) {
        None | Some(Status::Cancelled) => {}
        Some(
            status @ (Status::Pending | Status::Claimed | Status::InProgress | Status::Completed),
        ) => return Err(Error::AlreadyExists { status }),
    }
    Ok(vec![Event::Created(Box::new(Created {
        worklist_item_id: WorklistItemId::derive(new.case.imaging_study_id),
        patient_id: new.patient_id,
        case: new.case,
        priority: new.priority,
        status: Status::Pending,
        last_activity_at: context.now,
        attention: new.attention,
        phi: new.patient.map(|patient| CreatedPhi { patient }),
    }))])
}

/// Decides every command except the first creation.
pub(super) fn decide_existing(
    item: &WorklistItem,
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    match command {
        Command::Create(new) => create(Some(item), *new, context),
        Command::Claim(by) => claim(item, by, context.now),
        Command::Release(authority) => release(item, authority, context),
        Command::Update(asked) => update(item, &asked, context),
        Command::AttachOrder(order) => Ok(attach_order(item, order)),
        Command::DetachOrder(order_id) => Ok(detach_order(item, order_id)),
        Command::Contribute(part) => contribute(item, part),
        Command::Reopen(order) => Ok(reopen(item, order)),
        Command::MarkConflict => Ok(mark_conflict(item)),
        Command::Begin => Ok(begin(item, context.now)),
        Command::Complete => Ok(complete(item)),
        Command::ReturnToClaimed => Ok(back_to_claimed(item)),
        Command::ReleaseIdle {
            radiologist_id,
            claimed_at,
        } => Ok(release_idle(item, radiologist_id, claimed_at)),
    }
}

fn claim(item: &WorklistItem, by: Claim, now: Timestamp) -> Result<Vec<Event>, Error> {
    let status = item.status();
    if status != Status::Pending {
        return Err(Error::NotPending { status });
    }
    Ok(vec![Event::Claimed(Claimed {
        worklist_item_id: item.id(),
        imaging_study_id: item.case.imaging_study_id,
        radiologist_id: by.radiologist_id,
        claimed_at: now,
        assigned_by: by.assigned_by,
    })])
}

fn release(
    item: &WorklistItem,
    authority: Authority,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let status = item.status();
    match item.progress {
        Lifecycle::Pending => Ok(Vec::new()),
        Lifecycle::Claimed(held) | Lifecycle::InProgress(held) => {
            authority.check(held)?;
            let own = context.actor.practitioner_id == Some(held.assigned_radiologist_id);
            let reason = if own {
                ReleaseReason::ByRadiologist
            } else {
                ReleaseReason::ByAdmin
            };
            Ok(vec![released(item, held.assigned_radiologist_id, reason)])
        }
        Lifecycle::Completed { .. } | Lifecycle::Cancelled => Err(Error::Closed { status }),
    }
}

fn released(item: &WorklistItem, radiologist_id: PractitionerId, reason: ReleaseReason) -> Event {
    Event::Released(Released {
        worklist_item_id: item.id(),
        imaging_study_id: item.case.imaging_study_id,
        radiologist_id,
        reason,
    })
}

impl Authority {
    fn check(self, held: Assignment) -> Result<(), Error> {
        match self {
            Self::Any => Ok(()),
            Self::Own(radiologist) if radiologist == held.assigned_radiologist_id => Ok(()),
            Self::Own(_) => Err(Error::HeldByOther),
        }
    }
}

/// Decides release, claim and other changes, in this order; each step applies to the result of the previous one.
fn update(item: &WorklistItem, asked: &Update, context: &Context) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let mut item = item.clone();
    if asked.status == Some(RequestedStatus::Pending) || asked.assign == Change::Clear {
        let step = release(&item, Authority::Any, context)?;
        item = apply_events(item, &step);
        events.extend(step);
    }
    if let Change::Set(by) = &asked.assign {
        let step = claim(&item, by.clone(), context.now)?;
        item = apply_events(item, &step);
        events.extend(step);
    }
    events.extend(change(&item, asked, context)?);
    Ok(events)
}

fn apply_events(item: WorklistItem, events: &[Event]) -> WorklistItem {
    events.iter().fold(item, |item, event| {
        let before = item.clone();
        WorklistItem::evolve(Some(item), event.clone()).unwrap_or(before)
    })
}

/// Returns the changes of an update other than release and claim.
fn change(item: &WorklistItem, asked: &Update, context: &Context) -> Result<Option<Event>, Error> {
    let step = match asked.status {
        Some(RequestedStatus::Pending) | None => None,
        Some(RequestedStatus::InProgress) => begin_manually(item, asked.authority)?,
        Some(RequestedStatus::Completed) => complete_manually(item, asked.authority)?,
        Some(RequestedStatus::Cancelled) => cancel(item)?,
    };
    let own = item.holder().is_some() && item.holder() == context.actor.practitioner_id;
    let mut change = unchanged(item);
    change.priority = reprioritise(item, asked.priority)?;
    change.ai_contribution = manual_contribution(item, asked);
    change.status = step;
    if step == Some(Status::Completed) {
        clear_late_images(item, &mut change);
    }
    let is_one = change != unchanged(item);
    change.last_activity_at = own.then_some(context.now);
    Ok(is_one.then(|| Event::Updated(Box::new(change))))
}

fn begin_manually(item: &WorklistItem, authority: Authority) -> Result<Option<Status>, Error> {
    let status = item.status();
    match item.progress {
        Lifecycle::Pending => Err(Error::NotHeld),
        Lifecycle::Claimed(held) => authority.check(held).map(|()| Some(Status::InProgress)),
        Lifecycle::InProgress(held) => authority.check(held).map(|()| None),
        Lifecycle::Completed { .. } | Lifecycle::Cancelled => Err(Error::Closed { status }),
    }
}

fn complete_manually(item: &WorklistItem, authority: Authority) -> Result<Option<Status>, Error> {
    let status = item.status();
    match item.progress {
        Lifecycle::Pending => Err(Error::NotHeld),
        Lifecycle::Claimed(held) | Lifecycle::InProgress(held) => {
            authority.check(held).map(|()| Some(Status::Completed))
        }
        Lifecycle::Completed { .. } => Ok(None),
        Lifecycle::Cancelled => Err(Error::Closed { status }),
    }
}

fn cancel(item: &WorklistItem) -> Result<Option<Status>, Error> {
    match item.status() {
        Status::Pending | Status::Claimed | Status::InProgress => Ok(Some(Status::Cancelled)),
        Status::Cancelled => Ok(None),
        status @ Status::Completed => Err(Error::Closed { status }),
    }
}

fn reprioritise(
    item: &WorklistItem,
    priority: Option<Priority>,
) -> Result<Option<Priority>, Error> {
    let other = priority.filter(|priority| *priority != item.priority);
    let status = item.status();
    if other.is_some() && !status.is_open() {
        return Err(Error::Closed { status });
    }
    Ok(other)
}

/// Returns the contribution without a model; omitted members are unchanged.
fn manual_contribution(item: &WorklistItem, asked: &Update) -> Option<AiContribution> {
    let before = item.triage.contribution_of(None);
    let score = before.and_then(|part| part.score);
    let flags = before.map(|part| part.flags.clone());
    let asked_score = asked.ai_triage_score.unless_already(score.as_ref());
    let asked_flags = asked.ai_triage_flags.clone();
    let asked_flags = asked_flags.unless_already(flags.as_ref());
    if asked_score.is_keep() && asked_flags.is_keep() {
        return None;
    }
    let part = AiContribution {
        ai_model_id: None,
        imaging_ai_task_id: None,
        score: asked_score.apply(score),
        flags: asked_flags.apply(flags).unwrap_or_default(),
    };
    Some(part)
}

fn attach_order(item: &WorklistItem, order: LinkedOrder) -> Vec<Event> {
    if !item.status().is_open() {
        return Vec::new();
    }
    updated(item, |change| attach(item, order, change))
}

/// Attaches an order. The priority of an order that the item already has is not applied again, because a clinician may
/// have changed the priority since.
fn attach(item: &WorklistItem, order: LinkedOrder, change: &mut Updated) {
    if item.case.imaging_order_id != Some(order.order_id) {
        change.imaging_order_id = Change::Set(order.order_id);
        change.priority = Some(order.priority).filter(|priority| *priority > item.priority);
    }
    let is_cancelled = order.status == order::Status::Cancelled;
    set_attention(item, change, Attention::LinkConflict, false);
    set_attention(item, change, Attention::OrderCancelled, is_cancelled);
}

/// Detaches an order and clears the attention flags that the order caused.
fn detach_order(item: &WorklistItem, order_id: OrderId) -> Vec<Event> {
    if !item.status().is_open() {
        return Vec::new();
    }
    updated(item, |change| {
        if item.case.imaging_order_id == Some(order_id) {
            change.imaging_order_id = Change::Clear;
        }
        set_attention(item, change, Attention::LinkConflict, false);
        set_attention(item, change, Attention::OrderCancelled, false);
    })
}

fn reopen(item: &WorklistItem, order: Option<LinkedOrder>) -> Vec<Event> {
    match item.status() {
        Status::Completed => updated(item, |change| {
            change.status = Some(Status::Pending);
            set_attention(item, change, Attention::LateImages, true);
            if let Some(order) = order {
                attach(item, order, change);
            }
        }),
        Status::Pending | Status::Claimed | Status::InProgress | Status::Cancelled => Vec::new(),
    }
}

fn mark_conflict(item: &WorklistItem) -> Vec<Event> {
    match item.status() {
        Status::Pending | Status::Claimed | Status::InProgress | Status::Completed => {
            updated(item, |change| {
                set_attention(item, change, Attention::LinkConflict, true)
            })
        }
        Status::Cancelled => Vec::new(),
    }
}

/// Sets or clears an attention flag.
fn set_attention(item: &WorklistItem, change: &mut Updated, what: Attention, is_so: bool) {
    let told = change.attention.take();
    let mut all = told.unwrap_or_else(|| item.attention.clone());
    let known = all.contains(&what);
    match is_so {
        true if !known => all.push(what),
        true => {}
        false => all.retain(|attention| *attention != what),
    }
    change.attention = (all != item.attention).then_some(all);
}

fn contribute(item: &WorklistItem, part: AiContribution) -> Result<Vec<Event>, Error> {
    let known = item.triage.contribution_of(part.ai_model_id);
    if known.is_none() && item.triage.contributions().len() >= MAX_PARTS {
        return Err(Error::TooManyModels);
    }
    Ok(updated(item, |change| {
        change.ai_contribution = (known != Some(&part)).then_some(part);
    }))
}

fn begin(item: &WorklistItem, now: Timestamp) -> Vec<Event> {
    match item.progress {
        Lifecycle::Claimed(_) => updated(item, |change| {
            change.status = Some(Status::InProgress);
            change.last_activity_at = Some(now);
        }),
        Lifecycle::Pending
        | Lifecycle::InProgress(_)
        | Lifecycle::Completed { .. }
        | Lifecycle::Cancelled => Vec::new(),
    }
}

fn complete(item: &WorklistItem) -> Vec<Event> {
    if !item.status().is_open() {
        return Vec::new();
    }
    updated(item, |change| {
        change.status = Some(Status::Completed);
        clear_late_images(item, change);
    })
}

/// Clears the late images flag: completing the item includes reading the late images.
fn clear_late_images(item: &WorklistItem, change: &mut Updated) {
    set_attention(item, change, Attention::LateImages, false);
}

fn back_to_claimed(item: &WorklistItem) -> Vec<Event> {
    match item.progress {
        Lifecycle::InProgress(_) => updated(item, |updated| updated.status = Some(Status::Claimed)),
        Lifecycle::Pending
        | Lifecycle::Claimed(_)
        | Lifecycle::Completed { .. }
        | Lifecycle::Cancelled => Vec::new(),
    }
}

fn release_idle(
    item: &WorklistItem,
    radiologist_id: PractitionerId,
    claimed_at: Timestamp,
) -> Vec<Event> {
    let idle = Assignment {
        assigned_radiologist_id: radiologist_id,
        claimed_at,
    };
    match item.assignment() {
        Some(held) if held == idle => vec![released(item, radiologist_id, ReleaseReason::Idle)],
        Some(_) | None => Vec::new(),
    }
}

fn unchanged(item: &WorklistItem) -> Updated {
    Updated {
        worklist_item_id: item.id(),
        imaging_study_id: item.case.imaging_study_id,
        status: None,
        priority: None,
        ai_contribution: None,
        attention: None,
        imaging_order_id: Change::Keep,
        last_activity_at: None,
    }
}

/// Returns an update event, if anything changes.
fn updated(item: &WorklistItem, set: impl FnOnce(&mut Updated)) -> Vec<Event> {
    let mut change = unchanged(item);
    set(&mut change);
    if change == unchanged(item) {
        return Vec::new();
    }
    vec![Event::Updated(Box::new(change))]
}
