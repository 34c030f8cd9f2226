//! Effects of system commands on a case, its caseload and its list.

use anyhow::Result;
use roentgen_commands::worklist::ensure_case_claimed;
use roentgen_commands::worklist::system_commands::SystemItemCommand;
use roentgen_commands::{CommandError, DomainError, UnitOfWork, UseCase};
use roentgen_domain::Versioned;
use roentgen_domain::caseload;
use roentgen_domain::ids::{PractitionerId, StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::reading_profile;
use roentgen_domain::score::Score;
use roentgen_domain::text::Text;
use roentgen_domain::worklist_item::{AiContribution, Command, Error, Status, WorklistItem};
use roentgen_tests::EngineKind;
use serde_json::json;
use uuid::Uuid;

use super::super::fixtures::{WorklistApp, WorklistCase, done};
use crate::assertions::log_head;
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    is_completed_and_its_holder_has_room_again,
    is_released_when_idle_and_not_when_claimed_anew,
    opens_again_for_late_images,
    gets_each_models_part_once,
    is_nothing_to_follow_where_there_is_no_case,
    writing_on_a_study_claims_its_case,
);

impl WorklistCase {
    fn follow_up(&self, command: Command) -> SystemItemCommand {
        SystemItemCommand {
            study_id: self.study.into(),
            command,
        }
    }
}

async fn is_completed_and_its_holder_has_room_again(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let one = json!({ "max_concurrent_cases": 1 });
    let anna = room.radiologist_with(one).await?;
    let items = room.items(3).await?;
    done(&anna.claim(&items[0]).await?);
    let begun = room.system(&items[0].follow_up(Command::Begin)).await?;
    assert_eq!(begun.state.status(), Status::InProgress);
    let back = room
        .system(&items[0].follow_up(Command::ReturnToClaimed))
        .await?;
    assert_eq!(back.state.status(), Status::Claimed);
    let completes = items[0].follow_up(Command::Complete);
    let completed = room.system(&completes).await?;
    assert_eq!(completed.state.status(), Status::Completed);
    assert!(room.open_cases(anna.id).await?.is_empty());
    let before = log_head(&room.house.client).await?;
    room.system(&completes).await?;
    assert_eq!(
        log_head(&room.house.client).await?,
        before,
        "once is enough"
    );
    done(&anna.claim(&items[1]).await?);
    let unclaimed = room.system(&items[2].follow_up(Command::Complete)).await?;
    assert_eq!(unclaimed.state.status(), Status::Completed);
    Ok(())
}

async fn is_released_when_idle_and_not_when_claimed_anew(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room.radiologist()?;
    let item = room.item(json!({})).await?;
    let claimed = anna.claim(&item).await?;
    let idle = item.follow_up(Command::ReleaseIdle {
        radiologist_id: anna.id.into(),
        claimed_at: claimed.text_at("/claimed_at").parse()?,
    });
    let released = room.system(&idle).await?;
    assert_eq!(released.state.status(), Status::Pending);
    assert!(room.open_cases(anna.id).await?.is_empty());
    done(&anna.claim(&item).await?);
    let anew = room.system(&idle).await?;
    assert_eq!(
        anew.state.holder(),
        Some(anna.id.into()),
        "another claim stands"
    );
    Ok(())
}

async fn opens_again_for_late_images(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room.radiologist()?;
    let item = room.item(json!({})).await?;
    let late = item.follow_up(Command::Reopen(None));
    let early = room.system(&late).await?;
    assert!(early.state.attention.is_empty(), "it is open yet");
    done(&anna.claim(&item).await?);
    done(&anna.moves(&item, "completed").await?);
    let reopened = room.system(&late).await?;
    assert_eq!(reopened.state.status(), Status::Pending);
    let claimed = anna.claim(&item).await?;
    assert_eq!(claimed.json()["attention"], json!(["late_images"]));
    let read = anna.moves(&item, "completed").await?;
    assert_eq!(read.json()["attention"], json!([]), "read by now");
    Ok(())
}

async fn gets_each_models_part_once(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let one = fresh();
    let other = fresh();
    let says = |model: Uuid, score: f64, flag: &str| {
        anyhow::Ok(item.follow_up(Command::Contribute(AiContribution {
            ai_model_id: Some(model.into()),
            imaging_ai_task_id: Some(fresh().into()),
            score: Some(Score::parse(score)?),
            flags: vec![Text::parse(flag)?],
        })))
    };
    let first = says(one, 0.92, "ich")?;
    room.system(&first).await?;
    room.system(&says(other, 0.2, "ich")?).await?;
    let before = log_head(&room.house.client).await?;
    let same = room.system(&says(other, 0.2, "ich")?).await?;
    assert_eq!(
        log_head(&room.house.client).await?,
        before + 1,
        "another task's word"
    );
    assert_eq!(same.state.triage.contributions().len(), 2);
    assert_eq!(same.state.triage.score(), Score::parse(0.92).ok());
    let gone = json!({ "status": "cancelled" });
    done(&room.house.client.patch(&item.place, &gone).await?);
    let late = room.system(&says(one, 0.3, "mass")?).await?;
    assert_eq!(late.state.triage.score(), Score::parse(0.3).ok());
    assert_eq!(late.state.triage.flags().len(), 2);
    Ok(())
}

async fn is_nothing_to_follow_where_there_is_no_case(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let before = log_head(&room.house.client).await?;
    let completes = SystemItemCommand {
        study_id: fresh().into(),
        command: Command::Complete,
    };
    let refused = refusal(room.system(&completes).await);
    assert_eq!(refused, Some(Error::NotFound.into()));
    assert_eq!(log_head(&room.house.client).await?, before);
    Ok(())
}

/// Use case that claims a study's case for writing, as a report does.
struct Writes {
    study: StudyId,
    radiologist: PractitionerId,
}

impl UseCase for Writes {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        None
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        ensure_case_claimed(work, self.study, self.radiologist).await?;
        let item = work.read(WorklistItemId::derive(self.study)).await?;
        item.map(|item| Versioned::clone(&item))
            .ok_or(CommandError::Contention)
    }
}

async fn writing_on_a_study_claims_its_case(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let limited = json!({ "max_concurrent_cases": 1, "allowed_modalities": ["CT"] });
    let anna = room.radiologist_with(limited).await?;
    let boris = room.radiologist()?;
    let items = room.items(2).await?;
    let by = |item: &WorklistCase, radiologist: Uuid| Writes {
        study: item.study.into(),
        radiologist: radiologist.into(),
    };
    let held = room.system(&by(&items[0], anna.id)).await?;
    assert_eq!(held.state.holder(), Some(anna.id.into()));
    assert_eq!(room.open_cases(anna.id).await?, [items[0].id.to_string()]);
    let before = log_head(&room.house.client).await?;
    room.system(&by(&items[0], anna.id)).await?;
    let refused = refusal(room.system(&by(&items[0], boris.id)).await);
    assert_eq!(refused, Some(Error::HeldByOther.into()));
    let full = caseload::Error::LimitReached { open: 1, limit: 1 };
    assert_eq!(
        refusal(room.system(&by(&items[1], anna.id)).await),
        Some(full.into())
    );
    assert_eq!(log_head(&room.house.client).await?, before);
    let mr = room.item(json!({ "modality_code": "MR" })).await?;
    let not_allowed = reading_profile::Restriction::ModalityNotAllowed;
    assert_eq!(
        refusal(room.system(&by(&mr, anna.id)).await),
        Some(not_allowed.into())
    );
    room.system(&items[0].follow_up(Command::Complete)).await?;
    let after = room.system(&by(&items[0], boris.id)).await?;
    assert_eq!(after.state.status(), Status::Completed, "nobody has to");
    Ok(())
}

fn refusal<T>(answer: Result<T>) -> Option<DomainError> {
    let CommandError::Domain(refusal) = answer.err()?.downcast().ok()? else {
        return None;
    };
    Some(refusal)
}
