//! Changing a case.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::super::fixtures::{WorklistApp, done};
use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    is_read_by_its_holder_or_an_admin,
    is_run_by_those_who_run_the_worklist,
    is_assigned_on_behalf_with_all_the_checks_of_a_claim,
    is_assigned_with_these_checks_whatever_else_is_asked,
    an_assignment_is_taken_away_by_null,
    takes_scores_that_are_no_models,
    refuses_what_is_not_acceptable,
);

async fn is_read_by_its_holder_or_an_admin(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let boris = room.radiologist()?;
    for status in ["in_progress", "completed"] {
        let early = anna.moves(&item, status).await?;
        assert_problem(&early, ProblemCode::TransitionRefused, "nobody holds it");
    }
    done(&anna.claim(&item).await?);
    assert_problem(
        &boris.moves(&item, "in_progress").await?,
        ProblemCode::HeldByOther,
        "another's",
    );
    let begun = anna.moves(&item, "in_progress").await?;
    assert_eq!(begun.text_at("/status"), "in_progress");
    assert!(begun.text_at("/last_activity_at") >= begun.text_at("/claimed_at"));
    let before = log_head(&room.house.client).await?;
    assert_eq!(anna.moves(&item, "in_progress").await?.text, begun.text);
    assert_eq!(log_head(&room.house.client).await?, before, "it already is");
    let completed = json!({ "status": "completed" });
    let completed = room.house.client.patch(&item.place, &completed).await?;
    assert_eq!(completed.text_at("/status"), "completed");
    assert_eq!(
        completed.text_at("/assigned_radiologist_id"),
        anna.id.to_string()
    );
    assert!(room.open_cases(anna.id).await?.is_empty());
    for status in ["in_progress", "cancelled", "pending"] {
        let late = json!({ "status": status });
        let late = room.house.client.patch(&item.place, &late).await?;
        assert_problem(&late, ProblemCode::TransitionRefused, status);
    }
    Ok(())
}

async fn an_assignment_is_taken_away_by_null(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let unassign = json!({ "assigned_radiologist_id": null });
    done(&anna.claim(&item).await?);
    let own = anna.client.patch(&item.place, &unassign).await?;
    assert_problem(
        &own,
        ProblemCode::Forbidden,
        "those who run the worklist do that",
    );
    let coordinator = room.person("technologist", None)?;
    let released = coordinator.patch(&item.place, &unassign).await?;
    assert_eq!(released.text_at("/status"), "pending", "{released:?}");
    assert_eq!(released.json().get("assigned_radiologist_id"), None);
    assert!(room.open_cases(anna.id).await?.is_empty());
    let before = log_head(&room.house.client).await?;
    done(&coordinator.patch(&item.place, &unassign).await?);
    assert_eq!(
        log_head(&room.house.client).await?,
        before,
        "nobody holds it"
    );

    let admin = &room.house.client;
    let score = json!({ "ai_triage_score": 0.9, "ai_triage_flags": { "flags": ["ich"] } });
    done(&admin.patch(&item.place, &score).await?);
    let nothing = json!({ "ai_triage_flags": {} });
    let same = admin.patch(&item.place, &nothing).await?.json();
    assert_eq!(same["ai_triage_flags"], json!({ "flags": ["ich"] }));
    let null = json!({ "ai_triage_flags": { "flags": null } });
    let empty = admin.patch(&item.place, &null).await?.json();
    assert_eq!(empty["ai_triage_flags"], json!({ "flags": [] }));
    done(&admin.patch(&item.place, &score).await?);
    let cleared = json!({ "ai_triage_score": null, "ai_triage_flags": null });
    let cleared = admin.patch(&item.place, &cleared).await?.json();
    assert_eq!(cleared.get("ai_triage_score"), None, "{cleared}");
    assert_eq!(cleared["ai_triage_flags"], json!({ "flags": [] }));
    for member in ["status", "priority"] {
        let pointer = format!("/{member}");
        let null = json!({ member: null }).to_string();
        let refused = RejectedRequest::patch(&item.place, null, ProblemCode::Unacceptable);
        assert_all_rejected(admin, vec![refused.at(&[pointer.as_str()])]).await?;
    }
    Ok(())
}

async fn is_run_by_those_who_run_the_worklist(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    for role in ["admin", "technologist", "integration"] {
        let item = room.item(json!({})).await?;
        let anna = room.radiologist()?;
        let runs = room.person(role, None)?;
        let urgent = json!({ "priority": "URGENT" });
        let changed = runs.patch(&item.place, &urgent).await?;
        assert_eq!(changed.text_at("/priority"), "urgent", "{changed:?}");
        done(&anna.claim(&item).await?);
        let back = runs
            .patch(&item.place, &json!({ "status": "pending" }))
            .await?;
        assert_eq!(back.text_at("/status"), "pending", "{back:?}");
        assert!(room.open_cases(anna.id).await?.is_empty());
        let gone = json!({ "status": "cancelled" });
        let cancelled = runs.patch(&item.place, &gone).await?;
        assert_eq!(cancelled.text_at("/status"), "cancelled", "{cancelled:?}");
        assert_eq!(runs.patch(&item.place, &gone).await?.text, cancelled.text);
    }
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    done(&anna.claim(&item).await?);
    for change in [
        json!({ "status": "cancelled" }),
        json!({ "status": "pending" }),
        json!({ "priority": "stat" }),
        json!({ "assigned_radiologist_id": anna.id }),
        json!({ "ai_triage_score": 0.5 }),
        json!({ "status": "completed", "priority": "stat" }),
    ] {
        let refused = anna.client.patch(&item.place, &change).await?;
        assert_problem(&refused, ProblemCode::Forbidden, &change.to_string());
    }
    Ok(())
}

async fn is_assigned_on_behalf_with_all_the_checks_of_a_claim(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let desk = room.person("technologist", None)?;
    let limited = json!({ "max_concurrent_cases": 1, "allowed_modalities": ["CT"] });
    let anna = room.radiologist_with(limited).await?;
    let to = |id: uuid::Uuid| json!({ "assigned_radiologist_id": id });
    let mr = room.item(json!({ "modality_code": "MR" })).await?;
    assert_problem(
        &desk.patch(&mr.place, &to(anna.id)).await?,
        ProblemCode::NotPrivileged,
        "MR",
    );
    let items = room.items(2).await?;
    let assigned = desk.patch(&items[0].place, &to(anna.id)).await?;
    assert_eq!(assigned.text_at("/status"), "claimed", "{assigned:?}");
    let events = room
        .house
        .client
        .get(&format!("/events?stream_id={}", items[0].id))
        .await?
        .lines();
    assert_eq!(events[1]["data"]["assigned_by"], "technologist");
    assert_problem(
        &desk.patch(&items[1].place, &to(anna.id)).await?,
        ProblemCode::CaseLimitReached,
        "full",
    );
    let boris = room.radiologist()?;
    assert_problem(
        &desk.patch(&items[0].place, &to(boris.id)).await?,
        ProblemCode::TransitionRefused,
        "held",
    );
    let handed_over = json!({ "status": "pending", "assigned_radiologist_id": boris.id });
    let moved = desk.patch(&items[0].place, &handed_over).await?;
    assert_eq!(
        moved.text_at("/assigned_radiologist_id"),
        boris.id.to_string(),
        "{moved:?}"
    );
    assert!(room.open_cases(anna.id).await?.is_empty());
    assert_eq!(room.open_cases(boris.id).await?, [items[0].id.to_string()]);
    Ok(())
}

async fn is_assigned_with_these_checks_whatever_else_is_asked(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let limited = json!({ "max_concurrent_cases": 1, "allowed_modalities": ["CT"] });
    let anna = room.radiologist_with(limited).await?;
    let mr = room.item(json!({ "modality_code": "MR" })).await?;
    let items = room.items(4).await?;
    let admin = &room.house.client;
    let both = |status: &str| json!({ "status": status, "assigned_radiologist_id": anna.id });
    let completed = admin.patch(&items[0].place, &both("completed")).await?;
    assert_eq!(completed.text_at("/status"), "completed", "{completed:?}");
    assert_eq!(
        completed.text_at("/assigned_radiologist_id"),
        anna.id.to_string()
    );
    assert!(room.open_cases(anna.id).await?.is_empty());
    done(&anna.claim(&items[1]).await?);
    let before = log_head(admin).await?;
    for status in ["in_progress", "completed", "cancelled"] {
        let full = admin.patch(&items[2].place, &both(status)).await?;
        assert_problem(&full, ProblemCode::CaseLimitReached, status);
        let not_allowed = admin.patch(&mr.place, &both(status)).await?;
        assert_problem(&not_allowed, ProblemCode::NotPrivileged, status);
    }
    assert_eq!(log_head(admin).await?, before);
    let boris = room.radiologist()?;
    let handed_over = json!({ "status": "in_progress", "assigned_radiologist_id": boris.id });
    let seen = admin.with("if-match", "\"1\"");
    let begun = seen.patch(&items[3].place, &handed_over).await?;
    assert_eq!(begun.text_at("/status"), "in_progress", "{begun:?}");
    assert_eq!(room.open_cases(boris.id).await?, [items[3].id.to_string()]);
    Ok(())
}

async fn takes_scores_that_are_no_models(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({ "priority": "urgent" })).await?;
    let gateway = room.person("integration", None)?;
    let triage = json!({ "ai_triage_score": 0.92, "ai_triage_flags": { "flags": ["ICH_suspected", "mass_effect"] } });
    let scored = gateway.patch(&item.place, &triage).await?;
    done(&scored);
    let shown = scored.json();
    assert_eq!(shown["ai_triage_score"], 0.92);
    assert_eq!(
        shown["ai_triage_flags"],
        json!({ "flags": ["ICH_suspected", "mass_effect"] })
    );
    assert_eq!(
        shown["ai_contributions"],
        json!([{ "score": 0.92, "flags": ["ICH_suspected", "mass_effect"] }])
    );
    assert_eq!(
        shown["priority"], "urgent",
        "AI never changes the clinician's"
    );
    assert_eq!(gateway.patch(&item.place, &triage).await?.text, scored.text);
    let lower = json!({ "ai_triage_score": 0.1 });
    let lower = gateway.patch(&item.place, &lower).await?.json();
    assert_eq!(lower["ai_triage_score"], 0.1, "the same part, told anew");
    assert_eq!(lower["ai_triage_flags"], shown["ai_triage_flags"]);
    Ok(())
}

async fn refuses_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let missing = format!("/radiology/worklist/items/{}", fresh());
    let patch = |body, code| RejectedRequest::patch(&item.place, body, code);
    assert_all_rejected(
        &room.house.client,
        vec![
            patch(r#"{"state":"pending"}"#, ProblemCode::InvalidBody),
            patch(r#"{"priority":1}"#, ProblemCode::InvalidBody),
            patch(r#"{"ai_triage_score":"high"}"#, ProblemCode::InvalidBody),
            patch(r#"{"ai_triage_flags":["ich"]}"#, ProblemCode::InvalidBody),
            patch(r#"{"status":"claimed"}"#, ProblemCode::Unacceptable).at(&["/status"]),
            patch(
                r#"{"status":"open","priority":"now"}"#,
                ProblemCode::Unacceptable,
            )
            .at(&["/status", "/priority"]),
            patch(r#"{"ai_triage_score":1.01}"#, ProblemCode::Unacceptable)
                .at(&["/ai_triage_score"]),
            patch(
                r#"{"ai_triage_flags":{"flags":["ich"," "]}}"#,
                ProblemCode::Unacceptable,
            )
            .at(&["/ai_triage_flags/flags/1"]),
            patch(
                r#"{"tenant_id":"00000000-0000-0000-0000-000000000009"}"#,
                ProblemCode::OtherTenant,
            ),
            RejectedRequest::patch(&missing, r#"{"priority":"stat"}"#, ProblemCode::NotFound),
            RejectedRequest::get(&missing, ProblemCode::NotFound),
        ],
    )
    .await
}
