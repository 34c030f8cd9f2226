//! Claiming and releasing a case.

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::super::fixtures::{WorklistApp, done};
use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem, log_head};
use crate::test_app::{fresh, on_both_engines};

on_both_engines!(
    is_held_by_one_who_claims_a_pending_case,
    is_refused_where_the_profile_does_not_allow_it,
    is_refused_at_the_limit_until_a_place_is_freed,
    claim_rejects_foreign_practitioner_in_body,
    claim_takes_null_for_no_body,
    is_released_by_its_holder_or_an_admin,
    is_held_to_the_version_that_was_seen,
    has_one_effect_a_key,
);

async fn is_held_by_one_who_claims_a_pending_case(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let boris = room.radiologist()?;
    let claimed = anna.claim(&item).await?;
    done(&claimed);
    let shown = claimed.json();
    assert_eq!(shown["status"], "claimed");
    assert_eq!(shown["assigned_radiologist_id"], json!(anna.id));
    assert_eq!(shown["claimed_at"], shown["last_activity_at"]);
    assert_eq!(shown["phi"], "open", "it never had any");
    assert_eq!(anna.client.get(&item.place).await?.text, claimed.text);
    let taken = log_head(&room.house.client).await?;
    let folded = format!("{}?as_of={taken}", item.place);
    assert_eq!(anna.client.get(&folded).await?.text, claimed.text);
    assert_problem(
        &boris.claim(&item).await?,
        ProblemCode::TransitionRefused,
        "another's",
    );
    assert_problem(
        &anna.claim(&item).await?,
        ProblemCode::TransitionRefused,
        "one's own",
    );
    assert_eq!(log_head(&room.house.client).await?, taken);
    assert_eq!(room.open_cases(anna.id).await?, [item.id.to_string()]);
    let events = room.house.client.get("/events?limit=5000").await?.lines();
    let types: Vec<_> = events
        .iter()
        .rev()
        .take(2)
        .map(|event| &event["type"])
        .collect();
    assert_eq!(
        types,
        [
            &json!("RadiologistCaseload.CaseTaken"),
            &json!("RadiologyWorklistItem.Claimed")
        ],
        "one append has both"
    );
    Ok(())
}

async fn is_refused_where_the_profile_does_not_allow_it(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({ "body_part": "Head" })).await?;
    for profile in [
        json!({ "is_active": false }),
        json!({ "allowed_modalities": ["MR", "us"] }),
        json!({ "allowed_body_parts": ["CHEST"] }),
        json!({ "allowed_modalities": [] }),
    ] {
        let anna = room.radiologist_with(profile.clone()).await?;
        let asked = profile.to_string();
        assert_problem(
            &anna.claim(&item).await?,
            ProblemCode::NotPrivileged,
            &asked,
        );
        assert!(room.open_cases(anna.id).await?.is_empty());
    }
    let told = json!({ "allowed_modalities": ["ct"], "allowed_body_parts": ["hEAD"] });
    let anna = room.radiologist_with(told).await?;
    done(&anna.claim(&item).await?);
    Ok(())
}

async fn is_refused_at_the_limit_until_a_place_is_freed(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let anna = room
        .radiologist_with(json!({ "max_concurrent_cases": 1 }))
        .await?;
    let items = room.items(4).await?;
    let admin = &room.house.client;
    done(&anna.claim(&items[0]).await?);
    for (n, freed) in ["released", "completed", "cancelled"].iter().enumerate() {
        let held = &items[n];
        let next = &items[n + 1];
        assert_problem(
            &anna.claim(next).await?,
            ProblemCode::CaseLimitReached,
            freed,
        );
        done(&match *freed {
            "released" => anna.release(held).await?,
            "completed" => anna.moves(held, "completed").await?,
            other => {
                let status = json!({ "status": other });
                admin.patch(&held.place, &status).await?
            }
        });
        assert!(room.open_cases(anna.id).await?.is_empty(), "{freed}");
        done(&anna.claim(next).await?);
    }
    assert_eq!(room.open_cases(anna.id).await?, [items[3].id.to_string()]);
    Ok(())
}

async fn claim_rejects_foreign_practitioner_in_body(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let claim = format!("{}/claim", item.place);
    let nobody = room.person("radiologist", None)?;
    assert_problem(
        &nobody.post(&claim, &json!({})).await?,
        ProblemCode::Forbidden,
        "no practitioner",
    );
    let another = json!({ "radiologist_id": fresh() });
    let refused = anna.client.post(&claim, &another).await?;
    assert_problem(&refused, ProblemCode::Unacceptable, "another one");
    let unknown = anna.client.post(&claim, &json!({ "who": anna.id })).await?;
    assert_problem(&unknown, ProblemCode::InvalidBody, "unknown member");
    let oneself = json!({ "radiologist_id": anna.id, "tenant_id": room.house.tenant });
    done(&anna.client.post(&claim, &oneself).await?);
    let missing = format!("/radiology/worklist/items/{}/claim", fresh());
    assert_problem(
        &anna.client.post(&missing, &json!({})).await?,
        ProblemCode::NotFound,
        "no such item",
    );
    Ok(())
}

async fn claim_takes_null_for_no_body(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let claim = format!("{}/claim", item.place);
    let send = |body: &str| anna.client.send(Method::POST, &claim, body.into());
    assert_problem(&send(" ").await?, ProblemCode::MalformedJson, "a space");
    assert_problem(&send("[]").await?, ProblemCode::InvalidBody, "an array");
    done(&send(" null ").await?);
    Ok(())
}

async fn is_released_by_its_holder_or_an_admin(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let boris = room.radiologist()?;
    let release = format!("{}/release", item.place);
    done(&anna.claim(&item).await?);
    assert_problem(
        &boris.release(&item).await?,
        ProblemCode::HeldByOther,
        "another's",
    );
    let released = anna.release(&item).await?;
    done(&released);
    assert_eq!(released.text_at("/status"), "pending");
    assert_eq!(released.json().get("assigned_radiologist_id"), None);
    assert_eq!(
        anna.release(&item).await?.text,
        released.text,
        "it already is"
    );
    done(&boris.claim(&item).await?);
    done(&room.house.client.post(&release, &json!({})).await?);
    let of_item = format!("/events?stream_id={}", item.id);
    let events = room.house.client.get(&of_item).await?.lines();
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| event["data"]["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["by_radiologist", "by_admin"]);
    done(&anna.claim(&item).await?);
    done(&anna.moves(&item, "completed").await?);
    assert_problem(
        &anna.release(&item).await?,
        ProblemCode::TransitionRefused,
        "completed",
    );
    Ok(())
}

/// `If-Match` refers to the item and not to the caseload.
async fn is_held_to_the_version_that_was_seen(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let items = room.items(2).await?;
    let anna = room.radiologist()?;
    done(&anna.claim(&items[0]).await?);
    let claim = format!("{}/claim", items[1].place);
    let stale = anna.client.with("if-match", "\"7\"");
    assert_problem(
        &stale.post(&claim, &json!({})).await?,
        ProblemCode::VersionMismatch,
        "stale",
    );
    let seen = anna.client.with("if-match", "\"1\"");
    let claimed = seen.post(&claim, &json!({})).await?;
    done(&claimed);
    assert_eq!(claimed.header("etag"), "\"2\"");
    Ok(())
}

async fn has_one_effect_a_key(engine: EngineKind) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let item = room.item(json!({})).await?;
    let anna = room.radiologist()?;
    let claim = format!("{}/claim", item.place);
    let keyed = anna.client.with("idempotency-key", "once");
    let first = keyed.post(&claim, &json!({})).await?;
    done(&first);
    done(&anna.release(&item).await?);
    let before = log_head(&room.house.client).await?;
    let again = keyed.post(&claim, &json!({})).await?;
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert_eq!(log_head(&room.house.client).await?, before);
    let refused = RejectedRequest::post(&claim, "{}", ProblemCode::Forbidden);
    assert_all_rejected(&room.house.client, vec![refused]).await
}
