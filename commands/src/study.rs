//! Commands on imaging studies, their series and instances.
//!
//! A study finds its order by order id or by accession number, from which the order id is derived. The append expects
//! the order's version, or its absence. So if study and order are created concurrently, the second one sees the first.

use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::{ModalityCode, PacsEndpointCode};
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::{
    OrderId, PacsEndpointId, PatientId, SeriesId, StreamId, StudyAccessId, StudyId, TenantId,
    ViewerTokenId,
};
use roentgen_domain::order::Order;
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::phi::Patient;
use roentgen_domain::study::{
    Command, Details, InstanceAttributes, ReferencedOrder, SeriesAttributes, Study, Sync,
    SyncedSeries, Update,
};
use roentgen_domain::study_access::{self, StudyAccess, ViewerGrant};
use roentgen_domain::text::Text;
use roentgen_domain::{Change, Timestamp, Versioned};

use crate::error::{CommandError, Reference};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Command that syncs a study with the attributes that a PACS reports.
#[derive(Debug, Clone)]
pub struct SyncStudy {
    /// PACS endpoint that reports the study; must exist and be active.
    pub pacs_endpoint_code: PacsEndpointCode,
    /// Study Instance UID.
    pub study_instance_uid: Uid,
    /// Patient of the study.
    pub patient_id: PatientId,
    /// Modality.
    pub modality_code: ModalityCode,
    /// Accession number of the order.
    pub accession_number: Option<AccessionNumber>,
    /// Description.
    pub description: Option<Text>,
    /// Body part.
    pub body_part: Option<BodyPart>,
    /// Start of the study.
    pub started_at: Option<Timestamp>,
    /// End of the study.
    pub ended_at: Option<Timestamp>,
    /// Order of the study, if the PACS knows it; must exist.
    pub imaging_order_id: Option<OrderId>,
    /// Demographics of the patient.
    pub patient: Option<Patient>,
    /// Series with their instances.
    pub series: Vec<SyncedSeries>,
}

impl UseCase for SyncStudy {
    type Aggregate = Study;

    fn stream(&self, tenant: TenantId) -> Option<StreamId> {
        Some(StudyId::derive(tenant, &self.study_instance_uid).into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let tenant = work.context().tenant_id;
        let endpoint = PacsEndpointId::derive(tenant, &self.pacs_endpoint_code);
        let known = work.read::<PacsEndpoint>(endpoint).await?;
        let known = known.ok_or(CommandError::ReferenceNotFound(Reference::PacsEndpoint))?;
        if !known.state.is_active {
            return Err(CommandError::ReferenceInactive(Reference::PacsEndpoint));
        }
        let study_id = StudyId::derive(tenant, &self.study_instance_uid);
        let sync = Sync {
            patient_id: self.patient_id,
            details: self.details(endpoint),
            patient: self.patient.clone(),
            order: self.order(work, study_id).await?,
            series: self.series.clone(),
        };
        work.decide::<Study>(study_id, Command::Sync(Box::new(sync)))
            .await
    }
}

impl SyncStudy {
    fn details(&self, pacs_endpoint_id: PacsEndpointId) -> Details {
        Details {
            pacs_endpoint_id,
            pacs_endpoint_code: self.pacs_endpoint_code.clone(),
            study_instance_uid: self.study_instance_uid.clone(),
            accession_number: self.accession_number.clone(),
            modality_code: self.modality_code.clone(),
            body_part: self.body_part.clone(),
            description: self.description.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
        }
    }

    /// Returns the order with the study's accession number, reported now or earlier. If the study is linked already,
    /// the order is not looked up.
    async fn order(
        &self,
        work: &mut UnitOfWork<'_>,
        study_id: StudyId,
    ) -> Result<Option<ReferencedOrder>, CommandError> {
        if let Some(id) = self.imaging_order_id {
            return referenced_order(work, id, self.patient_id).await.map(Some);
        }
        let study = work.read::<Study>(study_id).await?;
        if study
            .as_ref()
            .is_some_and(|study| study.state.linking.order().is_some())
        {
            return Ok(None);
        }
        let earlier = study.and_then(|study| study.state.details.accession_number.clone());
        let Some(accession) = self.accession_number.clone().or(earlier) else {
            return Ok(None);
        };
        let id = OrderId::derive(work.context().tenant_id, &accession);
        let order = work.read::<Order>(id).await?;
        Ok(order.map(|order| classify_order(id, order.state.patient_id, self.patient_id)))
    }
}

/// Returns an order that the request names by id. The order must exist.
async fn referenced_order(
    work: &mut UnitOfWork<'_>,
    id: OrderId,
    patient: PatientId,
) -> Result<ReferencedOrder, CommandError> {
    let order = work.read::<Order>(id).await?;
    let order = order.ok_or(CommandError::ReferenceNotFound(Reference::Order))?;
    Ok(classify_order(id, order.state.patient_id, patient))
}

fn classify_order(id: OrderId, of_order: PatientId, of_study: PatientId) -> ReferencedOrder {
    if of_order == of_study {
        ReferencedOrder::SamePatient(id)
    } else {
        ReferencedOrder::OtherPatient(id)
    }
}

/// Command that adds a series to a study.
#[derive(Debug, Clone)]
pub struct AddSeries {
    /// Id of the study.
    pub study_id: StudyId,
    /// Attributes of the series.
    pub facts: SeriesAttributes,
}

impl UseCase for AddSeries {
    type Aggregate = Study;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.study_id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let study = work.read::<Study>(self.study_id).await?;
        study.ok_or(CommandError::ReferenceNotFound(Reference::Study))?;
        let command = Command::AddSeries(Box::new(self.facts.clone()));
        work.decide::<Study>(self.study_id, command).await
    }
}

/// Command that adds an instance to a series.
#[derive(Debug, Clone)]
pub struct AddInstance {
    /// Study of the series.
    pub study_id: StudyId,
    /// Id of the series.
    pub series_id: SeriesId,
    /// Attributes of the instance.
    pub instance: InstanceAttributes,
}

impl UseCase for AddInstance {
    type Aggregate = Study;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.study_id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let command = Command::AddInstance {
            series_id: self.series_id,
            instance: self.instance.clone(),
        };
        work.decide::<Study>(self.study_id, command).await
    }
}

/// Command that changes a study, or resolves its order link.
#[derive(Debug, Clone)]
pub struct UpdateStudy {
    /// Id of the study.
    pub id: StudyId,
    /// Changes to apply; its `order` is ignored.
    pub update: Update,
    /// Order to link, which must exist, or `Clear` to unlink.
    pub imaging_order_id: Change<OrderId>,
}

impl UseCase for UpdateStudy {
    type Aggregate = Study;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let study = work.read::<Study>(self.id).await?;
        let order = match (self.imaging_order_id, study) {
            (Change::Set(order), Some(study)) => {
                Change::Set(referenced_order(work, order, study.state.patient_id).await?)
            }
            (Change::Clear, _) => Change::Clear,
            (Change::Keep | Change::Set(_), _) => Change::Keep,
        };
        let update = Update {
            order,
            ..self.update.clone()
        };
        work.decide::<Study>(self.id, Command::Update(Box::new(update)))
            .await
    }
}

/// Command that issues a token to view the images of a study.
#[derive(Debug, Clone, Copy)]
pub struct LaunchViewer {
    /// Id of the study.
    pub study_id: StudyId,
    /// Id of the token.
    pub token_id: ViewerTokenId,
}

impl UseCase for LaunchViewer {
    type Aggregate = StudyAccess;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(StudyAccessId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<StudyAccess>, CommandError> {
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or(CommandError::ReferenceNotFound(Reference::Study))?;
        let look = ViewerGrant {
            study_id: self.study_id,
            patient_id: study.state.patient_id,
            token_id: self.token_id,
        };
        let launch = study_access::Command::Launch(look);
        work.decide::<StudyAccess>(StudyAccessId::derive(self.study_id), launch)
            .await
    }
}

/// Command that records the first use of a viewer token. Later uses are not recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordViewerTokenUse {
    /// Id of the study.
    pub study_id: StudyId,
    /// Id of the token.
    pub token_id: ViewerTokenId,
}

impl UseCase for RecordViewerTokenUse {
    type Aggregate = StudyAccess;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(StudyAccessId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<StudyAccess>, CommandError> {
        let used = study_access::Command::RecordFirstUse(self.token_id);
        work.decide::<StudyAccess>(StudyAccessId::derive(self.study_id), used)
            .await
    }
}
