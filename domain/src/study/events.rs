//! Events of a study, and their application to its state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Details, InstanceAttributes, OrderLink, SeriesAttributes, Status, Study, StudyPhi};
use crate::aggregate::{DomainEvent, UnexpectedEvent};
use crate::body_part::BodyPart;
use crate::change::Change;
use crate::codes::ModalityCode;
use crate::dicom::{AccessionNumber, Uid};
use crate::ids::{InstanceId, OrderId, PatientId, SeriesId, StudyId};
use crate::phi::Patient;
use crate::text::Text;
use crate::time::Timestamp;
use crate::url::HttpUrl;
use crate::{domain_events, event_data_with_phi, event_data_without_phi};

domain_events! {
    /// Events of a study.
    pub enum Event {
        /// First reported by the PACS.
        Available(Box<Available>) = "ImagingStudy.Available" v 1,
        /// Attributes or series changed.
        Updated(Box<Updated>) = "ImagingStudy.Updated" v 2,
        /// Linked to an order, or in conflict with one.
        Linked(Linked) = "ImagingStudy.Linked" v 1,
        /// Link or conflict removed by a person.
        Unlinked(Unlinked) = "ImagingStudy.Unlinked" v 1,
        /// Series added.
        SeriesAdded(SeriesAdded) = "ImagingStudy.SeriesAdded" v 1,
        /// Instances added.
        InstancesAdded(InstancesAdded) = "ImagingStudy.InstancesAdded" v 1,
        /// Archived.
        Archived(Archived) = "ImagingStudy.Archived" v 1,
    }
}

/// `ImagingStudy.Available`: the study without series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Available {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Attributes reported by the PACS.
    #[serde(flatten)]
    pub details: Details,
    /// `available` for every new study.
    pub status: Status,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<AvailablePhi>,
}

/// The PHI of `ImagingStudy.Available`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AvailablePhi {
    /// Patient demographics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
}

/// `ImagingStudy.Updated`: changed attributes. Changes of many series are split over several events, as in
/// [`InstancesAdded`]; the last event has the number of instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// New modality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// New accession number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<AccessionNumber>,
    /// New body part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// New start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// New end time.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub ended_at: Change<Timestamp>,
    /// Number of series after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_series: Option<u32>,
    /// Number of instances after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_instances: Option<u32>,
    /// New viewer URL.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub viewer_url: Change<HttpUrl>,
    /// Changed series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesChange>,
    /// PHI, sealed at rest.
    #[serde(skip)]
    pub phi: Option<UpdatedPhi>,
}

/// The PHI of `ImagingStudy.Updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdatedPhi {
    /// Complete patient demographics.
    pub patient: Patient,
}

/// Changes of a series; `None` means unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesChange {
    /// Series id.
    pub series_id: SeriesId,
    /// New series number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_number: Option<i32>,
    /// New body part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_part: Option<BodyPart>,
    /// New modality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality_code: Option<ModalityCode>,
    /// Number of instances after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_instances: Option<u32>,
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
}

/// `ImagingStudy.Linked`: the study was linked to an order, or the referenced order belongs to another patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Kind of link.
    pub link: LinkKind,
    /// Order.
    pub imaging_order_id: OrderId,
}

/// Relation of an order to a study that refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// Order that the study fulfils.
    Linked,
    /// Order of another patient, which the study cannot fulfil.
    Conflict,
}

/// `ImagingStudy.Unlinked`: the study no longer fulfils an order, or its link conflict is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlinked {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// Order that was linked or in conflict.
    pub imaging_order_id: OrderId,
}

/// `ImagingStudy.SeriesAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesAdded {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// New series.
    pub series: Vec<AddedSeries>,
    /// Number of series of the study after the event.
    pub number_of_series: u32,
    /// Number of instances of the study after the event.
    pub number_of_instances: u32,
}

/// New series. Its number of instances is the stated number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedSeries {
    /// Series id.
    pub series_id: SeriesId,
    /// Attributes reported by the PACS.
    #[serde(flatten)]
    pub facts: SeriesAttributes,
}

/// `ImagingStudy.InstancesAdded`. Many instances are split over several events, each well below 256 KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstancesAdded {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
    /// New instances by series.
    pub series: Vec<SeriesInstances>,
    /// Number of instances of the study after the event.
    pub number_of_instances: u32,
}

/// New instances of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesInstances {
    /// Series id.
    pub series_id: SeriesId,
    /// Number of instances of the series after the event.
    pub number_of_instances: u32,
    /// New instances.
    pub instances: Vec<AddedInstance>,
}

/// New instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedInstance {
    /// Instance id.
    pub instance_id: InstanceId,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// SOP Class UID (0008,0016).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sop_class_uid: Option<Uid>,
    /// Instance Number (0020,0013).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_number: Option<i32>,
}

impl AddedInstance {
    pub(super) fn new(instance_id: InstanceId, facts: InstanceAttributes) -> Self {
        Self {
            instance_id,
            sop_instance_uid: facts.sop_instance_uid,
            sop_class_uid: facts.sop_class_uid,
            instance_number: facts.instance_number,
        }
    }

    /// Returns the attributes of the instance.
    pub fn facts(self) -> InstanceAttributes {
        InstanceAttributes {
            sop_instance_uid: self.sop_instance_uid,
            sop_class_uid: self.sop_class_uid,
            instance_number: self.instance_number,
        }
    }
}

impl SeriesChange {
    /// Applies the change to the attributes.
    pub fn apply(&self, facts: &mut SeriesAttributes) {
        let change = self.clone();
        facts.series_number = change.series_number.or(facts.series_number);
        facts.body_part = change.body_part.or(facts.body_part.take());
        facts.modality_code = change.modality_code.or(facts.modality_code.take());
        facts.number_of_instances = change.number_of_instances.or(facts.number_of_instances);
        facts.description = change.description.or(facts.description.take());
    }
}

/// `ImagingStudy.Archived`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Study id.
    pub study_id: StudyId,
    /// Patient.
    pub patient_id: PatientId,
}

event_data_with_phi!(Available, Updated);
event_data_without_phi!(Linked, Unlinked, SeriesAdded, InstancesAdded, Archived);

pub(super) fn evolve(state: Option<Study>, event: Event) -> Result<Study, UnexpectedEvent> {
    let misplaced = UnexpectedEvent {
        event: event.event_type(),
    };
    match (state, event) {
        (None, Event::Available(data)) => Ok(available(*data)),
        (Some(study), Event::Updated(data)) => Ok(updated(study, *data)),
        (Some(study), Event::Linked(data)) => Ok(linked(study, data)),
        (Some(study), Event::Unlinked(unlinked)) => Ok(Study {
            linking: OrderLink::Unlinked,
            parted_from: Some(unlinked.imaging_order_id),
            ..study
        }),
        (Some(study), Event::SeriesAdded(added)) => Ok(series_added(study, &added)),
        (Some(study), Event::InstancesAdded(added)) => Ok(instances_added(study, &added)),
        (Some(study), Event::Archived(_)) => Ok(Study {
            status: Status::Archived,
            ..study
        }),
        (Some(_), Event::Available(_))
        | (
            None,
            Event::Updated(_)
            | Event::Linked(_)
            | Event::Unlinked(_)
            | Event::SeriesAdded(_)
            | Event::InstancesAdded(_)
            | Event::Archived(_),
        ) => Err(misplaced),
    }
}

fn available(available: Available) -> Study {
    Study {
        patient_id: available.patient_id,
        details: available.details,
        linking: OrderLink::Unlinked,
        number_of_series: 0,
        number_of_instances: 0,
        viewer_url: None,
        status: available.status,
        content: Arc::default(),
        parted_from: None,
        phi: available.phi.map(|phi| StudyPhi {
            patient: phi.patient,
        }),
    }
}

fn updated(mut study: Study, updated: Updated) -> Study {
    if let (Some(phi), Some(told)) = (study.phi.as_mut(), updated.phi) {
        phi.patient = Some(told.patient);
    }
    if !updated.series.is_empty() {
        Arc::make_mut(&mut study.content).change_series(&updated.series);
    }
    let known = study.details;
    let details = Details {
        accession_number: updated.accession_number.or(known.accession_number),
        modality_code: updated.modality_code.unwrap_or(known.modality_code),
        body_part: updated.body_part.or(known.body_part),
        description: updated.description.or(known.description),
        started_at: updated.started_at.or(known.started_at),
        ended_at: updated.ended_at.apply(known.ended_at),
        ..known
    };
    Study {
        details,
        number_of_series: updated.number_of_series.unwrap_or(study.number_of_series),
        number_of_instances: updated
            .number_of_instances
            .unwrap_or(study.number_of_instances),
        viewer_url: updated.viewer_url.apply(study.viewer_url),
        ..study
    }
}

fn linked(study: Study, linked: Linked) -> Study {
    let linking = match linked.link {
        LinkKind::Linked => OrderLink::Linked {
            imaging_order_id: linked.imaging_order_id,
        },
        LinkKind::Conflict => OrderLink::Conflict {
            conflicting_order_id: linked.imaging_order_id,
        },
    };
    Study {
        linking,
        parted_from: None,
        ..study
    }
}

fn series_added(mut study: Study, added: &SeriesAdded) -> Study {
    Arc::make_mut(&mut study.content).add_series(&added.series);
    Study {
        number_of_series: added.number_of_series,
        number_of_instances: added.number_of_instances,
        ..study
    }
}

fn instances_added(mut study: Study, added: &InstancesAdded) -> Study {
    Arc::make_mut(&mut study.content).add_instances(&added.series);
    Study {
        number_of_instances: added.number_of_instances,
        ..study
    }
}
