//! Actions of the policy tests.

use anyhow::Result;
use roentgen_commands::worklist::ClaimItem;
use roentgen_domain::Change;
use roentgen_domain::ai_model::AiModel;
use roentgen_domain::catalog;
use roentgen_domain::codes::{AiModelCode, PacsEndpointCode};
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::{
    AiModelId, OrderId, PacsEndpointId, PatientId, PractitionerId, ReportId, StreamId, StudyId,
    WorklistItemId,
};
use roentgen_domain::order::{self, CreatedPhi, NewOrder, Order};
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::phi::PhiText;
use roentgen_domain::report::{
    self, AuthoredContent, ContentEdit, CriticalNotice, NewReport, Report,
};
use roentgen_domain::study::{self, Details, SeriesAttributes, Study, Sync, SyncedSeries};
use roentgen_domain::text::Text;
use roentgen_domain::worklist_item::WorklistItem;
use serde_json::{Value, json};

use super::TestNode;
use crate::test_app::{fresh, with};

/// Study to be synced.
#[derive(Clone)]
pub(crate) struct TestStudy {
    pub(crate) patient: PatientId,
    uid: Uid,
    pub(crate) accession: Option<String>,
    pub(crate) body_part: &'static str,
    pub(crate) ended_at: Option<&'static str>,
    series: Vec<SyncedSeries>,
}

/// Returns an unused UID (PS3.5, B.2).
pub(crate) fn uid() -> Uid {
    Uid::parse(&format!("2.25.{}", fresh().as_u128())).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn series() -> SyncedSeries {
    SyncedSeries {
        facts: SeriesAttributes {
            series_instance_uid: uid(),
            series_number: Some(1),
            body_part: None,
            modality_code: None,
            number_of_instances: Some(3),
            description: None,
        },
        instances: Vec::new(),
    }
}

impl TestStudy {
    /// Returns a head CT of a new patient, with one series.
    pub(crate) fn new() -> Self {
        Self {
            patient: fresh().into(),
            uid: uid(),
            accession: None,
            body_part: "HEAD",
            ended_at: None,
            series: vec![series()],
        }
    }

    /// Returns a head CT with a new accession number.
    pub(crate) fn accessioned() -> Self {
        let accession = fresh().simple().to_string()[20..].to_owned();
        Self {
            accession: Some(accession),
            ..Self::new()
        }
    }

    /// Returns the study with one more series.
    pub(crate) fn and_more(&self) -> Self {
        let mut more = self.clone();
        more.series.push(series());
        more
    }

    pub(crate) fn accession(&self) -> AccessionNumber {
        AccessionNumber::parse(self.accession.as_deref().unwrap()).unwrap()
    }

    fn details(&self, node: &TestNode) -> Details {
        let code = PacsEndpointCode::parse("MAIN_PACS").unwrap();
        let details = json!({
            "pacs_endpoint_id": PacsEndpointId::derive(node.tenant, &code),
            "pacs_endpoint_code": code, "study_instance_uid": self.uid,
            "accession_number": self.accession, "modality_code": "CT",
            "body_part": self.body_part, "ended_at": self.ended_at,
        });
        serde_json::from_value(details).unwrap()
    }
}

impl TestNode {
    /// Creates the PACS endpoint; its studies complete their orders if `completes_order`.
    pub(crate) async fn archive(&self, completes_order: bool) -> Result<()> {
        let code = PacsEndpointCode::parse("MAIN_PACS")?;
        let endpoint: PacsEndpoint = serde_json::from_value(json!({
            "code": code, "name": "Main archive", "protocol": "DICOMWEB",
            "completes_order": completes_order, "is_active": true,
        }))?;
        let create = catalog::Command::Create(Box::new(endpoint));
        let id = PacsEndpointId::derive(self.tenant, &code);
        self.execute::<PacsEndpoint>(id, create).await.map(drop)
    }

    pub(crate) fn study_id(&self, images: &TestStudy) -> StudyId {
        StudyId::derive(self.tenant, &images.uid)
    }

    pub(crate) fn sync(&self, images: &TestStudy) -> study::Command {
        study::Command::Sync(Box::new(Sync {
            patient_id: images.patient,
            details: images.details(self),
            patient: None,
            order: None,
            series: images.series.clone(),
        }))
    }

    /// Syncs a study and returns its id.
    pub(crate) async fn synced(&self, images: &TestStudy) -> Result<StudyId> {
        let id = self.study_id(images);
        self.execute::<Study>(id, self.sync(images)).await?;
        Ok(id)
    }

    /// Creates an order for these images and returns its id.
    pub(crate) async fn ordered(&self, images: &TestStudy, members: Value) -> Result<OrderId> {
        self.ordered_for(images.patient, images, members).await
    }

    /// Creates an order with the accession number of these images, for this patient.
    pub(crate) async fn ordered_for(
        &self,
        patient_id: PatientId,
        images: &TestStudy,
        members: Value,
    ) -> Result<OrderId> {
        let accession = images.accession();
        let id = OrderId::derive(self.tenant, &accession);
        let request = json!({
            "imaging_procedure_id": fresh(), "procedure_code": "CT_HEAD", "procedure_name": "CT head",
            "modality_code": "CT", "priority": "routine", "requested_at": "2026-01-31T08:00:00Z",
            "accession_number": accession, "fhir_service_request_id": id,
        });
        let new = NewOrder {
            patient_id,
            request: serde_json::from_value(with(request, members))?,
            phi: CreatedPhi {
                indication: PhiText::new(text("rule out acute stroke")),
                patient: None,
                metadata: None,
            },
        };
        self.execute::<Order>(id, order::Command::Create(Box::new(new)))
            .await?;
        Ok(id)
    }

    /// Changes the status of an order.
    pub(crate) async fn move_order(&self, id: OrderId, status: order::Status) -> Result<()> {
        let update = order::Update {
            status: Some(status),
            ..order::Update::default()
        };
        let update = order::Command::Update(Box::new(update));
        self.execute::<Order>(id, update).await.map(drop)
    }

    /// Creates a model for triage, with additional members.
    pub(crate) async fn model(&self, code: &str, members: Value) -> Result<AiModelId> {
        let code = AiModelCode::parse(code)?;
        let model = json!({
            "code": code, "name": "a model", "capabilities": { "triage": true }, "is_active": true,
        });
        let model: AiModel = serde_json::from_value(with(model, members))?;
        let id = AiModelId::derive(self.tenant, &code);
        self.execute::<AiModel>(id, catalog::Command::Create(Box::new(model)))
            .await?;
        Ok(id)
    }

    pub(crate) async fn item(&self, study: StudyId) -> Result<WorklistItem> {
        self.state::<WorklistItem>(WorklistItemId::derive(study))
            .await
    }

    /// Claims a study's item as a radiologist.
    pub(crate) async fn claimed(&self, study: StudyId, by: PractitionerId) -> Result<()> {
        let claim = ClaimItem {
            id: WorklistItemId::derive(study),
            radiologist_id: by,
        };
        let request = self.request(Some(by), fresh().into());
        self.executor.execute(&request, &claim).await?;
        Ok(())
    }

    /// Executes a command on a study's report as a radiologist.
    pub(crate) async fn say(
        &self,
        study: StudyId,
        by: PractitionerId,
        command: report::Command,
    ) -> Result<()> {
        let id = StreamId::from(ReportId::derive(study));
        self.give_as::<Report>(Some(by), id, command)
            .await
            .map(drop)
    }

    /// Creates a report with an impression as a radiologist.
    pub(crate) async fn reported(
        &self,
        images: &TestStudy,
        study: StudyId,
        by: PractitionerId,
    ) -> Result<()> {
        let new = NewReport {
            imaging_study_id: study,
            imaging_order_id: None,
            patient_id: images.patient,
            radiologist_id: by,
            template_id: None,
            written: written("no haemorrhage"),
        };
        self.say(study, by, report::Command::Create(Box::new(new)))
            .await
    }

    /// Changes the impression as a radiologist.
    pub(crate) async fn edited(
        &self,
        study: StudyId,
        by: PractitionerId,
        impression: &str,
    ) -> Result<()> {
        let mut written = ContentEdit::default();
        written.content.impression = Change::Set(PhiText::new(text(impression)));
        let edit = report::Edit {
            radiologist_id: by,
            written,
            sections: Vec::new(),
            critical_result: None,
        };
        self.say(study, by, report::Command::Edit(Box::new(edit)))
            .await
    }

    /// Signs as a radiologist, as final or preliminary.
    pub(crate) async fn signed(
        &self,
        study: StudyId,
        by: PractitionerId,
        is_final: bool,
    ) -> Result<()> {
        let sign = report::Sign {
            radiologist_id: by,
            is_final,
            communication: None,
            notice: CriticalNotice {
                imaging_order_id: None,
                ordering_practitioner_id: None,
                critical_deadline: std::time::Duration::from_secs(1),
            },
        };
        self.say(study, by, report::Command::Sign(Box::new(sign)))
            .await
    }
}

fn written(impression: &str) -> AuthoredContent {
    let mut written = AuthoredContent::default();
    written.content.impression = Some(PhiText::new(text(impression)));
    written
}
