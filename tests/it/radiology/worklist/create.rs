//! Putting a study on the worklist.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_commands::{CommandError, UnitOfWork, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::{ModalityCode, PacsEndpointCode};
use roentgen_domain::dicom::{AccessionNumber, Uid};
use roentgen_domain::ids::{PacsEndpointId, StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::phi::{Patient, PhiText};
use roentgen_domain::study::{Command, Details, Study, Sync};
use roentgen_domain::text::Text;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::fixtures::{ITEMS, WorklistApp, done};
use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, pointers};
use crate::test_app::{fresh, on_both_engines, with};

on_both_engines!(
    has_one_item_a_study_with_the_studys_words,
    comes_again_after_it_was_cancelled_under_the_same_id,
    refuses_what_is_not_the_studys,
    refuses_what_is_not_acceptable,
);

/// Syncs a study. Its item is created by the policy or by the test, whichever is first.
async fn study(room: &WorklistApp, accession: Option<&str>) -> Result<Value> {
    let endpoint = PacsEndpointCode::parse("MAIN")?;
    let uid = Uid::parse(&format!("2.25.{}", fresh().as_u128()))?;
    let text = |text: &str| Text::parse(text).ok();
    let sync = Sync {
        patient_id: fresh().into(),
        details: Details {
            pacs_endpoint_id: PacsEndpointId::derive(room.house.tenant.into(), &endpoint),
            pacs_endpoint_code: endpoint,
            study_instance_uid: uid,
            accession_number: accession
                .and_then(|accession| AccessionNumber::parse(accession).ok()),
            modality_code: ModalityCode::parse("CT")?,
            body_part: BodyPart::parse("HEAD").ok(),
            description: text("CT head"),
            started_at: None,
            ended_at: None,
        },
        patient: Some(Patient {
            mrn: text("MRN-1").map(PhiText::new),
            family_name: text("Example").map(PhiText::new),
            given_name: None,
            birth_date: None,
            sex: None,
        }),
        order: None,
        series: Vec::new(),
    };
    let study = room.system(&Synced(sync)).await?;
    Ok(json!({ "id": study.id, "patient_id": study.state.patient_id }))
}

/// Use case that syncs a study.
struct Synced(Sync);

impl UseCase for Synced {
    type Aggregate = Study;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        None
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let tenant = work.context().tenant_id;
        let id = StudyId::derive(tenant, &self.0.details.study_instance_uid);
        let sync = Command::Sync(Box::new(self.0.clone()));
        work.create::<Study>(id, sync).await
    }
}

fn item_of(study: &Value) -> Value {
    json!({
        "imaging_study_id": study["id"], "patient_id": study["patient_id"], "modality_code": "CT",
    })
}

/// Creates the item unless the study's arrival has created it, and returns its path.
async fn created(client: &TestClient, body: &Value) -> Result<String> {
    let created = client.post(ITEMS, body).await?;
    if created.status != 201 {
        assert_problem(&created, ProblemCode::AlreadyExists, "the study's arrival");
    }
    let study: Uuid = body["imaging_study_id"]
        .as_str()
        .unwrap_or_default()
        .parse()?;
    let id = WorklistItemId::derive(study.into());
    Ok(format!("{ITEMS}/{id}"))
}

async fn has_one_item_a_study_with_the_studys_words(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let study = study(&room, Some("ACC1")).await?;
    let desk = room.person("technologist", None)?;
    let body = with(item_of(&study), json!({ "tenant_id": room.house.tenant }));
    let place = created(&desk, &body).await?;
    let read = room.house.client.get(&place).await?;
    done(&read);
    let shown = read.json();
    assert_eq!(shown["status"], "pending");
    assert_eq!(shown["priority"], "routine");
    assert_eq!(shown["body_part"], "HEAD");
    assert_eq!(shown["accession_number"], "ACC1");
    assert_eq!(shown["description"], "CT head");
    assert_eq!(shown["phi"], "open");
    assert_eq!(
        shown["patient"],
        json!({ "family_name": "Example", "mrn": "MRN-1" })
    );
    assert_eq!(shown["attention"], json!([]));
    assert_eq!(shown["ai_triage_flags"], json!({ "flags": [] }));
    let again = desk.post(ITEMS, &body).await?;
    assert_problem(&again, ProblemCode::AlreadyExists, "one a study");
    Ok(())
}

async fn comes_again_after_it_was_cancelled_under_the_same_id(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let study = study(&room, None).await?;
    let admin = &room.house.client;
    let place = created(admin, &item_of(&study)).await?;
    let scored = json!({ "ai_triage_score": 0.9 });
    done(&admin.patch(&place, &scored).await?);
    done(
        &admin
            .patch(&place, &json!({ "status": "cancelled" }))
            .await?,
    );
    let urgent = json!({ "priority": "urgent", "modality_code": "mr", "body_part": "Neck" });
    let again = admin.post(ITEMS, &with(item_of(&study), urgent)).await?;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.header("location"), place);
    let shown = again.json();
    assert_eq!(shown["status"], "pending");
    assert_eq!(
        (
            &shown["priority"],
            &shown["modality_code"],
            &shown["body_part"]
        ),
        (&json!("urgent"), &json!("MR"), &json!("Neck"))
    );
    assert_eq!(
        shown["ai_triage_score"], 0.9,
        "what models said is not lost"
    );
    assert_eq!(shown["patient"]["family_name"], "Example");
    assert_eq!(admin.get(&place).await?.text, again.text);
    let completed = room.radiologist()?;
    let claim = format!("{place}/claim");
    done(&completed.client.post(&claim, &json!({})).await?);
    let done_with = json!({ "status": "completed" });
    done(&completed.client.patch(&place, &done_with).await?);
    assert_problem(
        &admin.post(ITEMS, &item_of(&study)).await?,
        ProblemCode::AlreadyExists,
        "it was read",
    );
    Ok(())
}

async fn refuses_what_is_not_the_studys(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let study = study(&room, None).await?;
    for (member, pointer, code) in [
        ("patient_id", "/patient_id", ProblemCode::Unacceptable),
        (
            "imaging_order_id",
            "/imaging_order_id",
            ProblemCode::Unacceptable,
        ),
        (
            "imaging_study_id",
            "/imaging_study_id",
            ProblemCode::ReferenceNotFound,
        ),
    ] {
        let other = with(item_of(&study), json!({ member: fresh() }));
        let refused = room.house.client.post(ITEMS, &other).await?;
        assert_problem(&refused, code, member);
        assert_eq!(pointers(&refused), [pointer]);
    }
    Ok(())
}

async fn refuses_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let post = |body: &'static str, code| RejectedRequest::post(ITEMS, body, code);
    assert_all_rejected(
        &room.house.client,
        vec![
            post("{}", ProblemCode::Unacceptable).at(&[
                "/imaging_study_id",
                "/patient_id",
                "/modality_code",
            ]),
            post(r#"{"study_id":"x"}"#, ProblemCode::InvalidBody),
            post(r#"{"imaging_study_id":"x"}"#, ProblemCode::InvalidBody),
            post(
                r#"{"imaging_study_id":"00000000-0000-0000-0000-000000000005",
                    "patient_id":"00000000-0000-0000-0000-000000000007",
                    "modality_code":"C T","priority":"now","body_part":"\u0000"}"#,
                ProblemCode::Unacceptable,
            )
            .at(&["/modality_code", "/body_part", "/priority"]),
        ],
    )
    .await
}
