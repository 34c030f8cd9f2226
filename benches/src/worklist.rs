//! The worklist with one million cases, created through the log: its first page, its filters, and its 10,000th page.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roentgen_domain::body_part::BodyPart;
use roentgen_domain::codes::ModalityCode;
use roentgen_domain::dicom::Uid;
use roentgen_domain::ids::WorklistItemId;
use roentgen_domain::ids::{AiModelId, StudyId, TenantId};
use roentgen_domain::order::Priority;
use roentgen_domain::score::Score;
use roentgen_domain::text::Text;
use roentgen_domain::worklist_item::{
    AiContribution, CaseDetails, Command, NewItem, Status, WorklistItem,
};
use roentgen_domain::{Actor, Aggregate as _, Context};
use roentgen_projections::worklist_items::{Filters, page};
use roentgen_store::clock;
use roentgen_store::codec::{EventAddress, encode};
use roentgen_store::log::{Append, ExpectedVersion};
use tokio::time::Instant;

use crate::catch_up::{BATCH_SIZE, METADATA, fill_with};
use crate::database::{BenchDatabase, BenchNode, TENANT};
use crate::lists::{PAGE_SIZE, one};
use crate::report::BenchReport;

pub(crate) async fn measure(report: &mut BenchReport, items: u64) -> anyhow::Result<()> {
    println!("worklist: pages of {PAGE_SIZE} over {items} open items, as the engine answers them");
    let database = BenchDatabase::new().await?;
    let node = Arc::new(BenchNode::start(&database).await?);
    fill_with(&node, items / BATCH_SIZE, |_| async { some_items() }).await?;
    let head = node.store.engine.head().await?.position;
    let soon = Instant::now() + Duration::from_secs(900);
    node.progress.wait_for(head, soon).await;
    let of = |filters: &Filters, after| page(TENANT.into(), filters, after, PAGE_SIZE);
    for (name, filters) in filters()? {
        one(report, &node, &format!("worklist, {name}"), || {
            of(&filters, None)
        })
        .await?;
    }
    let pages = items / u64::from(PAGE_SIZE) / 2;
    let deep = deep_in(&node, pages.min(10_000)).await?;
    let far = || of(&Filters::default(), Some(deep.clone()));
    one(
        report,
        &node,
        &format!("worklist, page {}", pages.min(10_000)),
        far,
    )
    .await?;
    if let Some(node) = Arc::into_inner(node) {
        node.stop().await;
    }
    database.drop_it().await
}

fn filters() -> anyhow::Result<Vec<(&'static str, Filters)>> {
    let none = Filters::default;
    Ok(vec![
        ("the first page", none()),
        (
            "stat",
            Filters {
                priority: Some(Priority::Stat),
                ..none()
            },
        ),
        (
            "pending",
            Filters {
                statuses: vec![Status::Pending],
                ..none()
            },
        ),
        (
            "completed, none",
            Filters {
                statuses: vec![Status::Completed],
                ..none()
            },
        ),
        (
            "modality",
            Filters {
                modality: Some(ModalityCode::parse("MR")?),
                ..none()
            },
        ),
        (
            "modality, none",
            Filters {
                modality: Some(ModalityCode::parse("NM")?),
                ..none()
            },
        ),
        (
            "body part",
            Filters {
                body_part: BodyPart::parse("head").ok(),
                ..none()
            },
        ),
        (
            "body part, none",
            Filters {
                body_part: BodyPart::parse("TOE").ok(),
                ..none()
            },
        ),
        (
            "radiologist, none",
            Filters {
                radiologist_id: Some(clock::fresh_id().into()),
                ..none()
            },
        ),
        (
            "study, none",
            Filters {
                imaging_study_id: Some(clock::fresh_id().into()),
                ..none()
            },
        ),
    ])
}

/// Returns an append of mixed cases: mostly routine, every third with a score.
fn some_items() -> anyhow::Result<Append> {
    let mut append = Append::default();
    let tenant_id = TenantId::from(TENANT);
    for n in 0..BATCH_SIZE {
        let context = Context {
            tenant_id,
            actor: Actor::system(),
            now: clock::now(),
            fresh_id: clock::fresh_id(),
        };
        let uid = Uid::parse(&format!("2.25.{}", context.fresh_id.as_u128()))?;
        let study = StudyId::derive(tenant_id, &uid);
        let id = WorklistItemId::derive(study);
        let created =
            WorklistItem::decide(None, Command::Create(Box::new(item(n, study)?)), &context)?;
        let mut events = created;
        if n % 3 == 0 {
            let mut state = None;
            for event in &events {
                state = Some(WorklistItem::evolve(state, event.clone())?);
            }
            let score = Score::parse((context.fresh_id.as_u128() % 1000) as f64 / 1000.0)?;
            events.extend(WorklistItem::decide(
                state.as_ref(),
                contribution(score),
                &context,
            )?);
        }
        for (version, event) in (1..).zip(&events) {
            let place = EventAddress {
                tenant_id,
                stream_id: id.into(),
                version,
            };
            append
                .events
                .push(encode::<WorklistItem>(event, place, METADATA.into(), None)?);
        }
        append.checks.push(ExpectedVersion {
            stream_id: id.into(),
            expected: 0,
        });
    }
    Ok(append)
}

fn item(n: u64, study: StudyId) -> anyhow::Result<NewItem> {
    let priority = match n % 20 {
        0 => Priority::Stat,
        1..=3 => Priority::Urgent,
        _ => Priority::Routine,
    };
    let modality = match n % 4 {
        0 => "CT",
        1 => "MR",
        2 => "US",
        _ => "XR",
    };
    let body_part = if n.is_multiple_of(5) { "HEAD" } else { "CHEST" };
    Ok(NewItem {
        patient_id: clock::fresh_id().into(),
        case: CaseDetails {
            imaging_study_id: study,
            imaging_order_id: None,
            modality_code: ModalityCode::parse(modality)?,
            body_part: Some(BodyPart::parse(body_part)?),
            accession_number: None,
            description: Some(Text::parse("a study of the usual kind")?),
        },
        priority,
        attention: Vec::new(),
        patient: None,
    })
}

fn contribution(score: Score) -> Command {
    Command::Contribute(AiContribution {
        ai_model_id: Some(AiModelId::from(TENANT)),
        imaging_ai_task_id: None,
        score: Some(score),
        flags: Vec::new(),
    })
}

/// Returns the sort key after this number of pages.
async fn deep_in(node: &BenchNode, pages: u64) -> anyhow::Result<Vec<u8>> {
    let mut after = None;
    for _ in 0..pages * u64::from(PAGE_SIZE) / 500 {
        let query = page(TENANT.into(), &Filters::default(), after, 500);
        let rows = node.store.engine.live_list(&query).await?;
        after = rows.last().map(|row| row.sort_key.clone());
    }
    after.context("the list is long enough")
}
