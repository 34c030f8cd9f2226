//! Reading the worklist.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};

use super::super::fixtures::{ITEMS, WorklistApp, WorklistCase, done};
use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    is_in_reading_order_page_by_page,
    is_of_open_cases_unless_a_status_is_asked_for,
    is_narrowed_by_every_filter,
    knows_whose_cases_are_the_callers,
    refuses_what_it_does_not_know,
);

fn ids(items: &[&WorklistCase]) -> Vec<String> {
    items.iter().map(|case| case.id.to_string()).collect()
}

/// Returns a client whose reads include everything that the system has written.
async fn fresh_reader(room: &WorklistApp) -> Result<TestClient> {
    let head = crate::assertions::log_head(&room.house.client).await?;
    let client = &room.house.client;
    Ok(client.with("min-log-position", &head.to_string()))
}

async fn listed(room: &WorklistApp, query: &str) -> Result<Vec<String>> {
    let answer = fresh_reader(room)
        .await?
        .get(&format!("{ITEMS}{query}"))
        .await?;
    done(&answer);
    Ok(answer.ids())
}

async fn scored(room: &WorklistApp, item: &WorklistCase, score: f64) -> Result<()> {
    let score = json!({ "ai_triage_score": score });
    done(&room.house.client.patch(&item.place, &score).await?);
    Ok(())
}

fn next(answer: &TestResponse) -> Option<String> {
    let link = answer.header("link");
    let path = link.strip_prefix('<')?.split_once('>')?.0;
    Some(path.to_owned())
}

async fn is_in_reading_order_page_by_page(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let of = |priority: &'static str| room.item(json!({ "priority": priority }));
    let routine = of("routine").await?;
    let urgent = of("urgent").await?;
    let stat = of("stat").await?;
    let later = of("urgent").await?;
    let high = of("urgent").await?;
    let higher = of("urgent").await?;
    let low = of("urgent").await?;
    scored(&room, &high, 0.5).await?;
    scored(&room, &higher, 0.92).await?;
    scored(&room, &low, 0.49).await?;
    scored(&room, &routine, 1.0).await?;
    let expected = ids(&[&stat, &higher, &high, &urgent, &later, &low, &routine]);
    assert_eq!(listed(&room, "").await?, expected);

    let reader = fresh_reader(&room).await?;
    let mut path = Some(format!("{ITEMS}?limit=2"));
    let mut seen = Vec::new();
    while let Some(page) = path {
        let answer = reader.get(&page).await?;
        done(&answer);
        assert!(answer.ids().len() <= 2);
        seen.extend(answer.ids());
        path = next(&answer);
    }
    assert_eq!(seen, expected);
    Ok(())
}

async fn is_of_open_cases_unless_a_status_is_asked_for(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room.radiologist()?;
    let items = room.items(5).await?;
    for item in &items[1..4] {
        done(&anna.claim(item).await?);
    }
    done(&anna.moves(&items[2], "in_progress").await?);
    done(&anna.moves(&items[3], "completed").await?);
    let gone = json!({ "status": "cancelled" });
    done(&room.house.client.patch(&items[4].place, &gone).await?);

    assert_eq!(
        listed(&room, "").await?,
        ids(&[&items[0], &items[1], &items[2]])
    );
    let all: Vec<&WorklistCase> = items.iter().collect();
    assert_eq!(listed(&room, "?status=all").await?, ids(&all));
    let statuses = [
        "pending",
        "claimed",
        "in_progress",
        "completed",
        "CANCELLED",
    ];
    for (item, status) in items.iter().zip(statuses) {
        let only = listed(&room, &format!("?status={status}")).await?;
        assert_eq!(only, ids(&[item]), "{status}");
    }
    Ok(())
}

async fn is_narrowed_by_every_filter(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let of = |modality: &'static str, body_part: &'static str, priority: &'static str| {
        room.item(
            json!({ "modality_code": modality, "body_part": body_part, "priority": priority }),
        )
    };
    let ct_head = of("CT", "Head", "stat").await?;
    let ct_chest = of("CT", "CHEST", "routine").await?;
    let mr_head = of("MR", "HEAD", "urgent").await?;
    let study = format!("?imaging_study_id={}", mr_head.study);
    let cases = [
        ("?modality=ct".to_owned(), vec![&ct_head, &ct_chest]),
        ("?body_part=head".to_owned(), vec![&ct_head, &mr_head]),
        ("?modality=CT&body_part=HEAD".to_owned(), vec![&ct_head]),
        ("?modality=MG".to_owned(), vec![]),
        ("?modality=MR&body_part=CHEST".to_owned(), vec![]),
        ("?priority=urgent".to_owned(), vec![&mr_head]),
        ("?priority=routine&modality=CT".to_owned(), vec![&ct_chest]),
        ("?priority=stat&modality=MR".to_owned(), vec![]),
        (study.clone(), vec![&mr_head]),
        (format!("{study}&modality=CT"), vec![]),
        (format!("{study}&status=completed"), vec![]),
        (format!("?imaging_study_id={}", fresh()), vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(listed(&room, &query).await?, ids(&expected), "{query}");
    }
    Ok(())
}

async fn knows_whose_cases_are_the_callers(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room.radiologist()?;
    let boris = room.radiologist()?;
    let items = room.items(4).await?;
    done(&anna.claim(&items[0]).await?);
    done(&anna.claim(&items[1]).await?);
    done(&boris.claim(&items[2]).await?);
    done(&anna.moves(&items[1], "completed").await?);
    let own = [
        "?assigned_to_me=true".to_owned(),
        format!("?assigned_to_me=true&current_radiologist_id={}", anna.id),
        format!("?current_radiologist_id={}", anna.id),
    ];
    for query in own {
        let mine = anna.client.get(&format!("{ITEMS}{query}")).await?;
        assert_eq!(mine.ids(), ids(&[&items[0]]), "{query}: {mine:?}");
        let read = format!("{ITEMS}{query}&status=all");
        let read = anna.client.get(&read).await?;
        assert_eq!(read.ids(), ids(&[&items[0], &items[1]]), "{read:?}");
    }
    let others = format!("{ITEMS}?current_radiologist_id={}", boris.id);
    let nobody = room.person("radiologist", None)?;
    all_refused_by(&anna.client, &others).await?;
    all_refused_by(&nobody, &format!("{ITEMS}?assigned_to_me=true")).await
}

async fn all_refused_by(client: &TestClient, path: &str) -> Result<()> {
    let answer = client.get(path).await?;
    crate::assertions::assert_problem(&answer, ProblemCode::Forbidden, path);
    Ok(())
}

async fn refuses_what_it_does_not_know(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let bad = [
        "?statsu=pending",
        "?status=open",
        "?priority=now",
        "?modality=C%20T",
        "?imaging_study_id=1",
        "?assigned_to_me=yes",
        "?limit=0",
        "?cursor=x",
        "?body_part=%00",
    ];
    let paths: Vec<String> = bad.iter().map(|text| format!("{ITEMS}{text}")).collect();
    let refused = paths
        .iter()
        .map(|path| RejectedRequest::get(path, ProblemCode::InvalidParameter));
    assert_all_rejected(&room.house.client, refused.collect()).await?;
    let stranger = TestClient::dev(&room.house.server.base, fresh());
    room.item(json!({})).await?;
    assert_eq!(stranger.get(ITEMS).await?.json(), Value::Array(Vec::new()));
    Ok(())
}
