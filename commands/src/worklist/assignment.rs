//! Assignment of cases, and its effect on caseloads.

use roentgen_domain::Versioned;
use roentgen_domain::caseload::{self, Caseload};
use roentgen_domain::ids::{CaseloadId, PractitionerId, ReadingProfileId, StudyId, WorklistItemId};
use roentgen_domain::reading_profile::{CaseLimit, ReadingProfile};
use roentgen_domain::worklist_item::{Claim, Command, Error, Lifecycle, WorklistItem};

use crate::error::{CommandError, DomainError};
use crate::unit_of_work::UnitOfWork;

/// Decides a command on an item, and updates the caseloads in the same append: the previous holder's case is freed, and
/// the new holder must be eligible and below the case limit.
pub(crate) async fn decide(
    work: &mut UnitOfWork<'_>,
    id: WorklistItemId,
    command: Command,
) -> Result<Versioned<WorklistItem>, CommandError> {
    let before = holder(work, id).await?;
    let after = work.decide::<WorklistItem>(id, command).await?;
    update_caseloads(work, before, &after).await?;
    Ok(after)
}

/// Ensures that a radiologist who writes on a study holds its case: a pending item is claimed in the same append, with
/// all checks of a claim. If there is no item, or it is closed, nothing is required.
///
/// # Errors
///
/// [`CommandError::Domain`] if another radiologist has the case, or the claim is rejected.
pub async fn ensure_case_claimed(
    work: &mut UnitOfWork<'_>,
    study_id: StudyId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    let id = WorklistItemId::derive(study_id);
    let Some(item) = work.read::<WorklistItem>(id).await? else {
        return Ok(());
    };
    match item.state.progress {
        Lifecycle::Pending => claim_for_report(work, id, radiologist_id).await,
        Lifecycle::Claimed(held) | Lifecycle::InProgress(held)
            if held.assigned_radiologist_id != radiologist_id =>
        {
            Err(DomainError::from(Error::HeldByOther).into())
        }
        Lifecycle::Claimed(_)
        | Lifecycle::InProgress(_)
        | Lifecycle::Completed { .. }
        | Lifecycle::Cancelled => Ok(()),
    }
}

/// Ensures that a radiologist who continues a draft holds its case, and sets the case to in progress. The case may have
/// been added to the worklist, or claimed again, after the draft was created.
pub(crate) async fn ensure_case_in_progress(
    work: &mut UnitOfWork<'_>,
    study_id: StudyId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    ensure_case_claimed(work, study_id, radiologist_id).await?;
    let id = WorklistItemId::derive(study_id);
    match work.read::<WorklistItem>(id).await? {
        Some(_) => work
            .decide_related::<WorklistItem>(id, Command::Begin)
            .await
            .map(drop),
        None => Ok(()),
    }
}

/// Rejects the command if another radiologist holds the study's case.
pub(crate) async fn not_held_by_other(
    work: &mut UnitOfWork<'_>,
    study_id: StudyId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    let holder = holder(work, WorklistItemId::derive(study_id)).await?;
    if holder.is_some_and(|holder| holder != radiologist_id) {
        return Err(DomainError::from(Error::HeldByOther).into());
    }
    Ok(())
}

async fn claim_for_report(
    work: &mut UnitOfWork<'_>,
    id: WorklistItemId,
    radiologist_id: PractitionerId,
) -> Result<(), CommandError> {
    let claim = Command::Claim(Claim {
        radiologist_id,
        assigned_by: None,
    });
    match work.decide_related::<WorklistItem>(id, claim).await? {
        Some(after) => update_caseloads(work, None, &after).await,
        None => Ok(()),
    }
}

async fn holder(
    work: &mut UnitOfWork<'_>,
    id: WorklistItemId,
) -> Result<Option<PractitionerId>, CommandError> {
    let item = work.read::<WorklistItem>(id).await?;
    Ok(item.and_then(|item| item.state.holder()))
}

async fn update_caseloads(
    work: &mut UnitOfWork<'_>,
    before: Option<PractitionerId>,
    after: &Versioned<WorklistItem>,
) -> Result<(), CommandError> {
    let now = after.state.holder();
    if before == now {
        return Ok(());
    }
    if let Some(radiologist) = before {
        free(work, radiologist, after.state.id()).await?;
    }
    match now {
        Some(radiologist) => take(work, radiologist, &after.state).await,
        None => Ok(()),
    }
}

async fn free(
    work: &mut UnitOfWork<'_>,
    radiologist: PractitionerId,
    item: WorklistItemId,
) -> Result<(), CommandError> {
    let caseload = CaseloadId::derive(work.context().tenant_id, radiologist);
    let free = caseload::Command::Free { item };
    work.decide_related::<Caseload>(caseload, free)
        .await
        .map(drop)
}

async fn take(
    work: &mut UnitOfWork<'_>,
    radiologist_id: PractitionerId,
    item: &WorklistItem,
) -> Result<(), CommandError> {
    let tenant = work.context().tenant_id;
    let profile = ReadingProfileId::derive(tenant, radiologist_id);
    let limit = match work.read::<ReadingProfile>(profile).await? {
        Some(profile) => check_reading_profile(&profile.state, item)?,
        None => CaseLimit::default(),
    };
    let take = caseload::Command::Take {
        radiologist_id,
        item: item.id(),
        limit,
    };
    let caseload = CaseloadId::derive(tenant, radiologist_id);
    work.decide_related::<Caseload>(caseload, take)
        .await
        .map(drop)
}

fn check_reading_profile(
    profile: &ReadingProfile,
    item: &WorklistItem,
) -> Result<CaseLimit, DomainError> {
    profile.allows(&item.case.modality_code, item.case.body_part.as_ref())?;
    Ok(profile.max_concurrent_cases)
}
