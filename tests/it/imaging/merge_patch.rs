//! PATCH is a merge patch (RFC 7396) on every resource of the catalog, and on orders.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestResponse};
use serde_json::{Map, Value, json};

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    null_takes_an_optional_member_away,
    a_blank_text_does_so_too,
    what_every_such_resource_has_cannot_be_taken_away,
    a_blank_optional_text_is_an_absent_one,
    an_order_is_patched_likewise,
    objects_are_merged_member_by_member,
    a_new_resource_keeps_the_nulls_inside,
    objects_are_bounded_after_the_change_too,
    the_description_says_which_are_kept,
);

/// Kind of resource of the catalog.
struct Kind {
    list: &'static str,
    /// Required members of a new resource.
    needed: Value,
    /// Members that a PATCH may change and not remove.
    kept: &'static [&'static str],
    /// Optional members.
    optional: Value,
}

fn kinds(modality: &str) -> Vec<Kind> {
    let code = || format!("C{}", &fresh().simple().to_string()[20..]);
    vec![
        Kind {
            list: "/imaging/modalities",
            needed: json!({ "code": code(), "name": "n" }),
            kept: &["name", "is_active"],
            optional: json!({ "description": "d" }),
        },
        Kind {
            list: "/imaging/procedures",
            needed: json!({ "code": code(), "name": "n", "modality_id": modality }),
            kept: &["name", "is_active"],
            optional: json!({ "description": "d", "body_part": "HEAD", "snomed_code": "1", "loinc_code": "2",
                "default_duration_minutes": 15, "preparation_instructions": "fast" }),
        },
        Kind {
            list: "/pacs/endpoints",
            needed: json!({ "code": code(), "name": "n", "protocol": "DICOM" }),
            kept: &["name", "protocol", "completes_order", "is_active"],
            optional: json!({ "description": "d", "ae_title": "MAIN", "host": "pacs.example", "port": 104,
                "base_url": "https://pacs.example", "auth_config": { "kind": "none" },
                "viewer_launch_url": "https://viewer.example/{study_instance_uid}" }),
        },
        Kind {
            list: "/radiology/templates",
            needed: json!({ "code": code(), "name": "n", "template_type": "free_text" }),
            kept: &["name", "template_type", "is_active"],
            optional: json!({ "modality_code": "CT", "body_part": "HEAD", "description": "d",
                "schema": { "type": "object" }, "default_text": "normal" }),
        },
        Kind {
            list: "/radiology/reading-profiles",
            needed: json!({ "practitioner_id": fresh() }),
            kept: &["max_concurrent_cases", "is_active"],
            optional: json!({ "allowed_modalities": ["CT"], "allowed_body_parts": ["HEAD"],
                "reading_locations": ["home"] }),
        },
        Kind {
            list: "/imaging-ai/models",
            needed: json!({ "code": code(), "name": "n", "capabilities": { "triage": true } }),
            kept: &["name", "capabilities", "is_active"],
            optional: json!({ "description": "d", "modality_code": "CT", "body_part": "HEAD", "vendor": "V",
                "model_version": "1", "endpoint_config": { "url": "https://ai.example" } }),
        },
    ]
}

async fn all_kinds(house: &TestApp) -> Result<Vec<Kind>> {
    let modalities = house.client.get("/imaging/modalities").await?;
    Ok(kinds(&modalities.ids().concat()))
}

fn members(object: &Value) -> Map<String, Value> {
    object.as_object().cloned().unwrap_or_default()
}

/// Checks that the member is absent from the response, a read, the list, and a read with `as_of`.
async fn is_gone(
    house: &TestApp,
    place: &str,
    list: &str,
    answer: &TestResponse,
    member: &str,
) -> Result<()> {
    assert_eq!(answer.status, 200, "{member}: {answer:?}");
    assert_eq!(answer.json().get(member), None, "{place} {member}");
    let read = house.client.get(place).await?;
    assert_eq!(read.text, answer.text, "{member}");
    let listed = house.client.get(&format!("{list}?limit=500")).await?.json();
    let own = listed.as_array().into_iter().flatten();
    let mut own = own.filter(|row| row["id"] == answer.json()["id"]);
    assert_eq!(own.next(), Some(&answer.json()), "{list} {member}");
    let position = answer.number("log-position");
    let folded = house
        .client
        .get(&format!("{place}?as_of={position}"))
        .await?;
    assert_eq!(folded.json().get(member), None, "as_of {place} {member}");
    Ok(())
}

async fn created(house: &TestApp, kind: &Kind) -> Result<String> {
    let body = with(kind.needed.clone(), kind.optional.clone());
    let created = house.setup().post(kind.list, &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(created.header("location"))
}

async fn null_takes_an_optional_member_away(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for kind in all_kinds(&house).await? {
        let place = created(&house, &kind).await?;
        for (member, _) in members(&kind.optional) {
            let null = json!({ member.as_str(): null });
            let changed = house.client.patch(&place, &null).await?;
            is_gone(&house, &place, kind.list, &changed, &member).await?;
            let id = changed.text_at("/id");
            let events = house.client.get(&format!("/events?stream_id={id}")).await?;
            let event = events.lines().last().cloned().unwrap_or_default();
            assert!(event["data"].get(&member) == Some(&Value::Null), "{event}");
            assert_eq!(event["schema_version"], 2, "{event}");
            let before = log_head(&house.client).await?;
            let again = house.client.patch(&place, &null).await?;
            assert_eq!((again.status, &again.text), (200, &changed.text));
            assert_eq!(log_head(&house.client).await?, before, "{member}");
        }
    }
    Ok(())
}

async fn a_blank_text_does_so_too(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for kind in all_kinds(&house).await? {
        let place = created(&house, &kind).await?;
        for (member, value) in members(&kind.optional) {
            if value.is_string() {
                let blank = json!({ member.as_str(): "  " });
                let changed = house.client.patch(&place, &blank).await?;
                is_gone(&house, &place, kind.list, &changed, &member).await?;
            }
        }
    }
    Ok(())
}

async fn what_every_such_resource_has_cannot_be_taken_away(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for kind in all_kinds(&house).await? {
        let place = created(&house, &kind).await?;
        for member in kind.kept {
            let pointer = format!("/{member}");
            let null = json!({ *member: null }).to_string();
            let refused = RejectedRequest::patch(&place, null, ProblemCode::Unacceptable);
            assert_all_rejected(&house.client, vec![refused.at(&[pointer.as_str()])]).await?;
        }
    }
    Ok(())
}

async fn a_blank_optional_text_is_an_absent_one(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for kind in all_kinds(&house).await? {
        let optional = members(&kind.optional).into_iter();
        let texts = optional.filter(|(_, value)| value.is_string());
        let blank: Map<String, Value> = texts.map(|(name, _)| (name, json!(""))).collect();
        let body = with(kind.needed.clone(), Value::Object(blank.clone()));
        let created = house.setup().post(kind.list, &body).await?;
        assert_eq!(created.status, 201, "{body} {created:?}");
        for (member, _) in blank {
            assert_eq!(created.json().get(&member), None, "{} {member}", kind.list);
        }
    }
    Ok(())
}

async fn an_order_is_patched_likewise(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let blank = json!({ "encounter_id": "", "episode_id": " ", "ordering_practitioner_id": "",
        "ordering_department_id": "", "tenant_id": "", "accession_number": " ", "priority": "",
        "requested_at": "",
        "patient": { "mrn": "", "given_name": " ", "birth_date": "", "sex": "" },
        "metadata": { "bed": 13 } });
    let order = house.create_order(blank).await?;
    assert_eq!(order.text_at("/priority"), "routine");
    assert!(
        order.text_at("/accession_number").starts_with('R'),
        "{order:?}"
    );
    for absent in [
        "patient",
        "encounter_id",
        "episode_id",
        "ordering_department_id",
    ] {
        assert_eq!(order.json().get(absent), None, "{absent}");
    }
    let place = order.header("location");
    let slot = json!({ "scheduled_slot_id": fresh() });
    assert_eq!(house.client.patch(&place, &slot).await?.status, 200);
    for member in ["metadata", "scheduled_slot_id"] {
        let null = json!({ member: null });
        let changed = house.client.patch(&place, &null).await?;
        is_gone(&house, &place, "/imaging/orders", &changed, member).await?;
    }
    assert_eq!(house.client.patch(&place, &slot).await?.status, 200);
    let blank = json!({ "scheduled_slot_id": " " });
    let changed = house.client.patch(&place, &blank).await?;
    is_gone(
        &house,
        &place,
        "/imaging/orders",
        &changed,
        "scheduled_slot_id",
    )
    .await?;
    let cancel = json!({ "status": "cancelled", "cancellation_reason": "" });
    let cancelled = house.client.patch(&place, &cancel).await?;
    assert_eq!(cancelled.text_at("/status"), "cancelled");
    assert_eq!(cancelled.json().get("cancellation_reason"), None);
    Ok(())
}

/// Object, a patch of it, and the result.
struct Nested {
    list: &'static str,
    member: &'static str,
    before: Value,
    patch: Value,
    after: Value,
}

fn nested() -> Vec<Nested> {
    let models = "/imaging-ai/models";
    let templates = "/radiology/templates";
    vec![
        Nested {
            list: models,
            member: "capabilities",
            before: json!({ "triage": true, "quality": true, "detection": false }),
            patch: json!({ "quality": null, "comparison": true }),
            after: json!({ "triage": true, "detection": false, "comparison": true }),
        },
        Nested {
            list: models,
            member: "endpoint_config",
            before: json!({ "url": "https://ai.example", "timeout_ms": 10, "max_attempts": 2,
                "auth": { "kind": "bearer", "token": "t" } }),
            patch: json!({ "timeout_ms": 20, "max_attempts": null }),
            after: json!({ "url": "https://ai.example", "timeout_ms": 20,
                "auth": { "kind": "bearer" } }),
        },
        Nested {
            list: templates,
            member: "default_text",
            before: json!({ "findings": "f", "technique": "t", "aorta": "a" }),
            patch: json!({ "technique": null, "aorta": " ", "liver": "l" }),
            after: json!({ "findings": "f", "aorta": null, "liver": "l" }),
        },
        Nested {
            list: templates,
            member: "schema",
            before: json!({ "type": "object", "title": "T",
                "properties": { "a": { "type": "number" }, "b": { "type": "number" } } }),
            patch: json!({ "title": null, "properties": { "b": null, "c": {} } }),
            after: json!({ "type": "object", "properties": { "a": { "type": "number" }, "c": {} } }),
        },
    ]
}

/// Checks the result of the patch in the response, in a read, and in a read with `as_of`.
async fn is_merged(house: &TestApp, place: &str, case: &Nested) -> Result<()> {
    let name = case.member;
    let patch = json!({ case.member: case.patch });
    let changed = house.client.patch(place, &patch).await?;
    assert_eq!(changed.status, 200, "{name}: {changed:?}");
    assert_eq!(changed.json()[name], case.after, "{place} {name}");
    assert_eq!(house.client.get(place).await?.text, changed.text, "{name}");
    let as_of = format!("{place}?as_of={}", changed.number("log-position"));
    let folded = house.client.get(&as_of).await?;
    assert_eq!(folded.json()[name], case.after, "{as_of} {name}");
    let before = log_head(&house.client).await?;
    let nothing = json!({ name: {} });
    let unchanged = house.client.patch(place, &nothing).await?;
    assert_eq!((unchanged.status, &unchanged.text), (200, &changed.text));
    assert_eq!(log_head(&house.client).await?, before, "{name}");
    Ok(())
}

async fn objects_are_merged_member_by_member(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for case in nested() {
        let mut kinds = all_kinds(&house).await?.into_iter();
        let kind = kinds.rfind(|kind| kind.list == case.list);
        let needed = kind.map(|kind| kind.needed).unwrap_or_default();
        let body = with(needed, json!({ case.member: case.before }));
        let created = house.setup().post(case.list, &body).await?;
        assert_eq!(created.status, 201, "{created:?}");
        is_merged(&house, &created.header("location"), &case).await?;
    }
    let metadata = Nested {
        list: "/imaging/orders",
        member: "metadata",
        before: json!({ "bed": { "room": 7, "side": "left" }, "dose": 1.5, "tags": [1, null] }),
        patch: json!({ "bed": { "side": null, "floor": { "x": null } }, "ward": null }),
        after: json!({ "bed": { "room": 7, "floor": {} }, "dose": 1.5, "tags": [1, null] }),
    };
    let order = json!({ "metadata": metadata.before });
    let place = house.create_order(order).await?.header("location");
    is_merged(&house, &place, &metadata).await
}

/// In a new resource nothing exists that a null could remove.
async fn a_new_resource_keeps_the_nulls_inside(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let metadata = json!({ "a": null, "b": { "c": null } });
    let order = house.create_order(json!({ "metadata": metadata })).await?;
    assert_eq!(order.json()["metadata"], metadata);
    Ok(())
}

async fn objects_are_bounded_after_the_change_too(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let long = |name: &str| json!({ name: "x".repeat(40 * 1024) });
    let order = json!({ "metadata": long("a") });
    let place = house.create_order(order).await?.header("location");
    let patch = json!({ "metadata": long("b") }).to_string();
    let refused =
        RejectedRequest::patch(&place, patch, ProblemCode::Unacceptable).at(&["/metadata"]);
    assert_all_rejected(&house.client, vec![refused]).await?;
    let swapped = json!({ "metadata": { "a": null, "b": "x".repeat(40 * 1024) } });
    assert_eq!(house.client.patch(&place, &swapped).await?.status, 200);
    Ok(())
}

/// The type null in a JSON Schema.
const NULL: &str = "\"null\"";

async fn the_description_says_which_are_kept(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let document = house.client.get("/openapi.json").await?.json();
    for kind in all_kinds(&house).await? {
        let patch = &document["paths"][format!("{}/{{id}}", kind.list)]["patch"];
        let body = &patch["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let body = body.as_str().unwrap_or_default().trim_start_matches('#');
        let schema = document.pointer(body).cloned().unwrap_or_default();
        for member in kind.kept {
            let member = schema["properties"][*member].to_string();
            assert!(!member.contains(NULL), "{} {member}", kind.list);
        }
        for (member, _) in members(&kind.optional) {
            // Any JSON value may be null.
            let said = schema["properties"][&member].to_string();
            assert!(said.contains(NULL) || member == "default_text", "{said}");
        }
    }
    Ok(())
}
