//! Decisions of a study.

mod additions;

use super::{
    Archived, Available, AvailablePhi, Details, Error, Event, InstanceAttributes, LinkKind, Linked,
    OrderLink, ReferencedOrder, SeriesAttributes, Status, Study, Sync, SyncedSeries, Unlinked,
    Update, Updated, UpdatedPhi,
};
use crate::aggregate::Context;
use crate::change::Change;
use crate::ids::{OrderId, PatientId, SeriesId, StudyId};
use crate::phi::Patient;
use crate::time::Timestamp;
use additions::{MergedSeries, StudyAdditions};

/// Study and patient of the events.
#[derive(Debug, Clone, Copy)]
struct StudyRef {
    study_id: StudyId,
    patient_id: PatientId,
}

impl StudyRef {
    fn from_context(study: &Study, context: &Context) -> Self {
        Self {
            study_id: StudyId::derive(context.tenant_id, &study.details.study_instance_uid),
            patient_id: study.patient_id,
        }
    }
}

pub(super) fn first_sync(sync: Sync, context: &Context) -> Vec<Event> {
    let whose = StudyRef {
        study_id: StudyId::derive(context.tenant_id, &sync.details.study_instance_uid),
        patient_id: sync.patient_id,
    };
    let mut events = vec![Event::Available(Box::new(Available {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        details: with_possible_times(sync.details, None),
        status: Status::Available,
        phi: Some(AvailablePhi {
            patient: sync.patient,
        }),
    }))];
    events.extend(link_referenced_order(
        OrderLink::Unlinked,
        None,
        sync.order,
        whose,
    ));
    let told = MergedSeries::merge_all(sync.series, whose.study_id);
    events.extend(StudyAdditions::of_new(whose).add(told));
    events
}

pub(super) fn sync(study: &Study, sync: Sync, context: &Context) -> Result<Vec<Event>, Error> {
    if study.patient_id != sync.patient_id {
        return Err(Error::OtherPatient);
    }
    if study.status == Status::Archived {
        return Err(Error::Archived);
    }
    let whose = StudyRef::from_context(study, context);
    let told = MergedSeries::merge_all(sync.series, whose.study_id);
    let mut growth = StudyAdditions::merge_all(study, whose);
    let details = with_possible_times(sync.details, Some(&study.details));
    let mut updated = changed_details(study, details, whose);
    updated.phi = changed_patient(study, sync.patient);
    let updates =
        additions::merge_study_and_series_updates(updated, growth.change(&told)).into_iter();
    let mut events: Vec<Event> = updates.filter_map(non_empty).collect();
    events.extend(link_referenced_order(
        study.linking,
        study.parted_from,
        sync.order,
        whose,
    ));
    events.extend(growth.add(told));
    Ok(events)
}

pub(super) fn add_series(
    study: &Study,
    facts: SeriesAttributes,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let whose = StudyRef::from_context(study, context);
    let id = SeriesId::derive(whose.study_id, &facts.series_instance_uid);
    if study.content.series(id).is_some() {
        return Err(Error::SeriesExists);
    }
    if study.status == Status::Archived {
        return Err(Error::Archived);
    }
    let series = SyncedSeries {
        facts,
        instances: Vec::new(),
    };
    let told = MergedSeries::merge_all(vec![series], whose.study_id);
    Ok(StudyAdditions::merge_all(study, whose).add(told))
}

pub(super) fn add_instance(
    study: &Study,
    series_id: SeriesId,
    instance: InstanceAttributes,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let series = study.content.series(series_id);
    let series = series.ok_or(Error::NoSuchSeries)?;
    let whose = StudyRef::from_context(study, context);
    let told = MergedSeries::merge_all(
        vec![SyncedSeries {
            facts: series.facts.clone(),
            instances: vec![instance],
        }],
        whose.study_id,
    );
    let events = StudyAdditions::merge_all(study, whose).add(told);
    if events.is_empty() {
        return Err(Error::InstanceExists);
    }
    if study.status == Status::Archived {
        return Err(Error::Archived);
    }
    Ok(events)
}

pub(super) fn update(
    study: &Study,
    update: Update,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let whose = StudyRef::from_context(study, context);
    if let Change::Set(ReferencedOrder::OtherPatient(_)) = update.order {
        return Err(Error::OrderOfOtherPatient);
    }
    let updated = stated_changes(study, &update, whose);
    check_time_order_after(study, &updated)?;
    let changed = non_empty(updated);
    let reopens = update.status == Some(Status::Available);
    if study.status == Status::Archived && (changed.is_some() || reopens) {
        return Err(Error::Archived);
    }
    let archives = update.status == Some(Status::Archived) && study.status != Status::Archived;
    let archived = archives.then_some(Event::Archived(Archived {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
    }));
    let linked = resolve_conflict(study.linking, update.order, whose);
    Ok([changed, linked, archived].into_iter().flatten().collect())
}

/// Links the study to an order on behalf of the system: the first matching order is retained.
pub(super) fn link(study: &Study, order_id: OrderId, context: &Context) -> Vec<Event> {
    let named = Some(ReferencedOrder::SamePatient(order_id));
    let whose = StudyRef::from_context(study, context);
    let event = link_referenced_order(study.linking, study.parted_from, named, whose);
    event.into_iter().collect()
}

pub(super) fn mark_conflict(study: &Study, order_id: OrderId, context: &Context) -> Vec<Event> {
    let named = Some(ReferencedOrder::OtherPatient(order_id));
    let whose = StudyRef::from_context(study, context);
    let event = link_referenced_order(study.linking, study.parted_from, named, whose);
    event.into_iter().collect()
}

/// Returns the event for an order that the study refers to. An existing link is unchanged, and an order that a person
/// unlinked from the study is not linked again.
fn link_referenced_order(
    linking: OrderLink,
    parted_from: Option<OrderId>,
    order: Option<ReferencedOrder>,
    whose: StudyRef,
) -> Option<Event> {
    match (linking, order?) {
        (OrderLink::Linked { .. }, _) => None,
        (OrderLink::Conflict { .. } | OrderLink::Unlinked, named)
            if parted_from == Some(named.id()) =>
        {
            None
        }
        (OrderLink::Conflict { .. } | OrderLink::Unlinked, ReferencedOrder::SamePatient(order)) => {
            Some(linked(order, LinkKind::Linked, whose))
        }
        (
            OrderLink::Conflict {
                conflicting_order_id,
            },
            ReferencedOrder::OtherPatient(order),
        ) if conflicting_order_id == order => None,
        (
            OrderLink::Conflict { .. } | OrderLink::Unlinked,
            ReferencedOrder::OtherPatient(order),
        ) => Some(linked(order, LinkKind::Conflict, whose)),
    }
}

impl ReferencedOrder {
    const fn id(self) -> OrderId {
        match self {
            Self::SamePatient(order) | Self::OtherPatient(order) => order,
        }
    }
}

/// Applies a manual link change, which takes precedence over an existing link.
fn resolve_conflict(
    linking: OrderLink,
    order: Change<ReferencedOrder>,
    whose: StudyRef,
) -> Option<Event> {
    match order {
        Change::Set(ReferencedOrder::SamePatient(order)) if linking.order() != Some(order) => {
            Some(linked(order, LinkKind::Linked, whose))
        }
        Change::Clear => unlinked(linking, whose),
        Change::Keep
        | Change::Set(ReferencedOrder::SamePatient(_) | ReferencedOrder::OtherPatient(_)) => None,
    }
}

fn unlinked(linking: OrderLink, whose: StudyRef) -> Option<Event> {
    let imaging_order_id = match linking {
        OrderLink::Unlinked => return None,
        OrderLink::Linked { imaging_order_id } => imaging_order_id,
        OrderLink::Conflict {
            conflicting_order_id,
        } => conflicting_order_id,
    };
    Some(Event::Unlinked(Unlinked {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        imaging_order_id,
    }))
}

fn linked(imaging_order_id: OrderId, link: LinkKind, whose: StudyRef) -> Event {
    Event::Linked(Linked {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        link,
        imaging_order_id,
    })
}

/// Returns the changes of a sync to the study's attributes.
fn changed_details(study: &Study, told: Details, whose: StudyRef) -> Updated {
    let known = &study.details;
    Updated {
        modality_code: if_changed(Some(told.modality_code), Some(&known.modality_code)),
        accession_number: if_changed(told.accession_number, known.accession_number.as_ref()),
        body_part: if_changed(told.body_part, known.body_part.as_ref()),
        description: if_changed(told.description, known.description.as_ref()),
        started_at: if_changed(told.started_at, known.started_at.as_ref()),
        ended_at: if_changed(told.ended_at, known.ended_at.as_ref()).into(),
        ..empty_update(whose)
    }
}

/// Returns the manual changes to the study. A stated number is never below the listed number.
fn stated_changes(study: &Study, update: &Update, whose: StudyRef) -> Updated {
    let content = &study.content;
    let series = update.number_of_series;
    let series = series.map(|series| series.max(content.number_of_series()));
    let instances = update.number_of_instances;
    let instances = instances.map(|instance| instance.max(content.number_of_instances()));
    Updated {
        number_of_series: if_changed(series, Some(&study.number_of_series)),
        number_of_instances: if_changed(instances, Some(&study.number_of_instances)),
        ended_at: update
            .ended_at
            .unless_already(study.details.ended_at.as_ref()),
        viewer_url: update
            .viewer_url
            .clone()
            .unless_already(study.viewer_url.as_ref()),
        ..empty_update(whose)
    }
}

fn empty_update(whose: StudyRef) -> Updated {
    Updated {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        modality_code: None,
        accession_number: None,
        body_part: None,
        description: None,
        started_at: None,
        ended_at: Change::Keep,
        number_of_series: None,
        number_of_instances: None,
        viewer_url: Change::Keep,
        series: Vec::new(),
        phi: None,
    }
}

fn non_empty(updated: Updated) -> Option<Event> {
    let whose = StudyRef {
        study_id: updated.study_id,
        patient_id: updated.patient_id,
    };
    (updated != empty_update(whose)).then(|| Event::Updated(Box::new(updated)))
}

/// Returns the reported value, if it differs from the known one.
fn if_changed<T: PartialEq>(told: Option<T>, known: Option<&T>) -> Option<T> {
    told.filter(|value| Some(value) != known)
}

/// Returns the complete patient demographics, if a sync reports different ones. Erased PHI never changes.
fn changed_patient(study: &Study, told: Option<Patient>) -> Option<UpdatedPhi> {
    let known = study.phi.as_ref()?.patient.as_ref();
    let told = told.filter(|told| !told.is_empty())?.or(known);
    let patient = if_changed(Some(told), known)?;
    Some(UpdatedPhi { patient })
}

fn check_time_order(started_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> bool {
    started_at
        .zip(ended_at)
        .is_none_or(|(start, end)| start <= end)
}

fn check_time_order_after(study: &Study, updated: &Updated) -> Result<(), Error> {
    if updated.started_at.is_none() && updated.ended_at.is_keep() {
        return Ok(());
    }
    let started_at = updated.started_at.or(study.details.started_at);
    if check_time_order(started_at, updated.ended_at.apply(study.details.ended_at)) {
        Ok(())
    } else {
        Err(Error::StartAfterEnd)
    }
}

/// Removes reported times by which the study would end before it starts: the end, and also a start that is after the
/// known end.
fn with_possible_times(mut told: Details, known: Option<&Details>) -> Details {
    let (started_at, ended_at) = known.map_or((None, None), |details| {
        (details.started_at, details.ended_at)
    });
    if !check_time_order(told.started_at.or(started_at), told.ended_at) {
        told.ended_at = None;
    }
    if !check_time_order(told.started_at, told.ended_at.or(ended_at)) {
        told.started_at = None;
    }
    told
}
