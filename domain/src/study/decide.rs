//! What a study does when asked.

mod growth;

use super::{
    Archived, Available, AvailablePhi, Details, Error, Event, InstanceFacts, LinkKind, Linked,
    Linking, NamedOrder, SeriesFacts, Status, Study, Sync, SyncedSeries, Update, Updated,
    UpdatedPhi,
};
use crate::aggregate::Context;
use crate::ids::{OrderId, PatientId, SeriesId, StudyId};
use crate::phi::Patient;
use growth::{Growth, Told};

/// Whose events these are.
#[derive(Debug, Clone, Copy)]
struct Whose {
    study_id: StudyId,
    patient_id: PatientId,
}

impl Whose {
    fn of(study: &Study, context: &Context) -> Self {
        Self {
            study_id: StudyId::of(context.tenant_id, &study.details.study_instance_uid),
            patient_id: study.patient_id,
        }
    }
}

pub(super) fn first_sync(sync: Sync, context: &Context) -> Result<Vec<Event>, Error> {
    in_order(&sync.details)?;
    let whose = Whose {
        study_id: StudyId::of(context.tenant_id, &sync.details.study_instance_uid),
        patient_id: sync.patient_id,
    };
    let mut events = vec![Event::Available(Box::new(Available {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        details: sync.details,
        status: Status::Available,
        phi: Some(AvailablePhi {
            patient: sync.patient,
        }),
    }))];
    events.extend(named_order(Linking::Unlinked, sync.order, whose));
    let told = Told::of(sync.series, whose.study_id);
    events.extend(Growth::of_new(whose).add(told));
    Ok(events)
}

pub(super) fn sync(study: &Study, sync: Sync, context: &Context) -> Result<Vec<Event>, Error> {
    if study.patient_id != sync.patient_id {
        return Err(Error::OtherPatient);
    }
    if study.status == Status::Archived {
        return Err(Error::Archived);
    }
    let whose = Whose::of(study, context);
    let told = Told::of(sync.series, whose.study_id);
    let mut growth = Growth::of(study, whose);
    let mut updated = changed_details(study, sync.details, whose);
    updated.phi = changed_patient(study, sync.patient);
    in_order_after(study, &updated)?;
    let updates = growth::with_own(updated, growth.change(&told)).into_iter();
    let mut events: Vec<Event> = updates.filter_map(unless_empty).collect();
    events.extend(named_order(study.linking, sync.order, whose));
    events.extend(growth.add(told));
    Ok(events)
}

pub(super) fn add_series(
    study: &Study,
    facts: SeriesFacts,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let whose = Whose::of(study, context);
    let id = SeriesId::of(whose.study_id, &facts.series_instance_uid);
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
    let told = Told::of(vec![series], whose.study_id);
    Ok(Growth::of(study, whose).add(told))
}

pub(super) fn add_instance(
    study: &Study,
    series_id: SeriesId,
    instance: InstanceFacts,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let series = study.content.series(series_id);
    let series = series.ok_or(Error::NoSuchSeries)?;
    let whose = Whose::of(study, context);
    let told = Told::of(
        vec![SyncedSeries {
            facts: series.facts.clone(),
            instances: vec![instance],
        }],
        whose.study_id,
    );
    let events = Growth::of(study, whose).add(told);
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
    let whose = Whose::of(study, context);
    if let Some(NamedOrder::OtherPatient(_)) = update.order {
        return Err(Error::OrderOfOtherPatient);
    }
    let updated = stated(study, &update, whose);
    in_order_after(study, &updated)?;
    let changed = unless_empty(updated);
    let reopens = update.status == Some(Status::Available);
    if study.status == Status::Archived && (changed.is_some() || reopens) {
        return Err(Error::Archived);
    }
    let archives = update.status == Some(Status::Archived) && study.status != Status::Archived;
    let archived = archives.then_some(Event::Archived(Archived {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
    }));
    let linked = settled(study.linking, update.order, whose);
    Ok([changed, linked, archived].into_iter().flatten().collect())
}

/// The system's own link: the first order that fits stays.
pub(super) fn link(study: &Study, order_id: OrderId, context: &Context) -> Vec<Event> {
    let named = Some(NamedOrder::SamePatient(order_id));
    let event = named_order(study.linking, named, Whose::of(study, context));
    event.into_iter().collect()
}

pub(super) fn mark_conflict(study: &Study, order_id: OrderId, context: &Context) -> Vec<Event> {
    let named = Some(NamedOrder::OtherPatient(order_id));
    let event = named_order(study.linking, named, Whose::of(study, context));
    event.into_iter().collect()
}

/// What an order that the study names comes to. A link that stands is not touched.
fn named_order(linking: Linking, order: Option<NamedOrder>, whose: Whose) -> Option<Event> {
    match (linking, order?) {
        (Linking::Linked { .. }, _) => None,
        (Linking::Conflict { .. } | Linking::Unlinked, NamedOrder::SamePatient(order)) => {
            Some(linked(order, LinkKind::Linked, whose))
        }
        (
            Linking::Conflict {
                conflicting_order_id,
            },
            NamedOrder::OtherPatient(order),
        ) if conflicting_order_id == order => None,
        (Linking::Conflict { .. } | Linking::Unlinked, NamedOrder::OtherPatient(order)) => {
            Some(linked(order, LinkKind::Conflict, whose))
        }
    }
}

/// A person's word counts above a link that stands.
fn settled(linking: Linking, order: Option<NamedOrder>, whose: Whose) -> Option<Event> {
    match order? {
        NamedOrder::SamePatient(order) if linking.order() != Some(order) => {
            Some(linked(order, LinkKind::Linked, whose))
        }
        NamedOrder::SamePatient(_) | NamedOrder::OtherPatient(_) => None,
    }
}

fn linked(imaging_order_id: OrderId, link: LinkKind, whose: Whose) -> Event {
    Event::Linked(Linked {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        link,
        imaging_order_id,
    })
}

/// What a sync changes of the study's own members.
fn changed_details(study: &Study, told: Details, whose: Whose) -> Updated {
    let known = &study.details;
    Updated {
        modality_code: other(Some(told.modality_code), Some(&known.modality_code)),
        accession_number: other(told.accession_number, known.accession_number.as_ref()),
        body_part: other(told.body_part, known.body_part.as_ref()),
        description: other(told.description, known.description.as_ref()),
        started_at: other(told.started_at, known.started_at.as_ref()),
        ended_at: other(told.ended_at, known.ended_at.as_ref()),
        ..nothing(whose)
    }
}

/// What a person changes of it. Nobody states fewer than are listed.
fn stated(study: &Study, update: &Update, whose: Whose) -> Updated {
    let content = &study.content;
    let series = update.number_of_series;
    let series = series.map(|it| it.max(content.number_of_series()));
    let instances = update.number_of_instances;
    let instances = instances.map(|it| it.max(content.number_of_instances()));
    Updated {
        number_of_series: other(series, Some(&study.number_of_series)),
        number_of_instances: other(instances, Some(&study.number_of_instances)),
        ended_at: other(update.ended_at, study.details.ended_at.as_ref()),
        viewer_url: other(update.viewer_url.clone(), study.viewer_url.as_ref()),
        ..nothing(whose)
    }
}

fn nothing(whose: Whose) -> Updated {
    Updated {
        study_id: whose.study_id,
        patient_id: whose.patient_id,
        modality_code: None,
        accession_number: None,
        body_part: None,
        description: None,
        started_at: None,
        ended_at: None,
        number_of_series: None,
        number_of_instances: None,
        viewer_url: None,
        series: Vec::new(),
        phi: None,
    }
}

fn unless_empty(updated: Updated) -> Option<Event> {
    let whose = Whose {
        study_id: updated.study_id,
        patient_id: updated.patient_id,
    };
    (updated != nothing(whose)).then(|| Event::Updated(Box::new(updated)))
}

/// What was told, where it is something else than what is known.
fn other<T: PartialEq>(told: Option<T>, known: Option<&T>) -> Option<T> {
    told.filter(|it| Some(it) != known)
}

/// PHI that is erased cannot differ.
fn changed_patient(study: &Study, told: Option<Patient>) -> Option<UpdatedPhi> {
    let known = study.phi.as_ref()?;
    let patient = other(told, known.patient.as_ref())?;
    Some(UpdatedPhi { patient })
}

fn in_order(details: &Details) -> Result<(), Error> {
    match (details.started_at, details.ended_at) {
        (Some(start), Some(end)) if start > end => Err(Error::StartAfterEnd),
        (Some(_) | None, _) => Ok(()),
    }
}

fn in_order_after(study: &Study, updated: &Updated) -> Result<(), Error> {
    if updated.started_at.is_none() && updated.ended_at.is_none() {
        return Ok(());
    }
    in_order(&Details {
        started_at: updated.started_at.or(study.details.started_at),
        ended_at: updated.ended_at.or(study.details.ended_at),
        ..study.details.clone()
    })
}
