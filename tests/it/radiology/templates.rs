//! `/radiology/templates`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    is_created_read_changed_and_listed,
    a_code_is_taken_once,
    structured_templates_need_a_schema_that_can_be_evaluated,
    a_schema_points_into_itself_only,
    lists_by_modality_and_body_part_in_any_case,
    refuses_what_is_not_acceptable,
);

const TEMPLATES: &str = "/radiology/templates";

/// Creates a template, by default for CTs of the head, and returns its id.
pub(super) async fn a_template(house: &TestApp, members: Value) -> Result<String> {
    let code = format!("T-{}", fresh().simple());
    let body = json!({
        "code": code, "name": "CT head", "modality_code": "CT", "body_part": "HEAD",
        "template_type": "free_text",
    });
    let created = house.client.post(TEMPLATES, &with(body, members)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(created.text_at("/id"))
}

async fn is_created_read_changed_and_listed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let schema = json!({ "type": "object", "required": ["hemorrhage"] });
    let body = json!({
        "code": "ct_head_stroke", "name": "CT head, stroke", "modality_code": "ct",
        "body_part": "Head", "description": "With a checklist", "template_type": "hybrid",
        "schema": schema, "default_text": { "Findings": "No hemorrhage.", "ventricles": "" },
        "tenant_id": house.tenant,
    });
    let created = house.client.post(TEMPLATES, &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let place = created.header("location");
    let template = created.json();
    assert_eq!(place, format!("{TEMPLATES}/{}", created.text_at("/id")));
    let expected = json!({
        "code": "CT_HEAD_STROKE", "modality_code": "CT", "body_part": "Head", "schema": schema,
        "default_text": { "findings": "No hemorrhage.", "ventricles": null }, "is_active": true,
        "template_type": "hybrid", "version": 1, "tenant_id": house.tenant,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&template[member], value, "{member}");
    }
    let changes = json!({ "default_text": "No hemorrhage.", "is_active": false });
    let changed = house.client.patch(&place, &changes).await?;
    assert_eq!(
        (changed.status, changed.header("etag").as_str()),
        (200, "\"2\"")
    );
    assert_eq!(changed.text_at("/default_text"), "No hemorrhage.");
    let before = log_head(&house.client).await?;
    let same = house.client.patch(&place, &changes).await?;
    assert_eq!((same.status, &same.text), (200, &changed.text));
    assert_eq!(log_head(&house.client).await?, before);
    assert_eq!(house.client.get(&place).await?.text, changed.text);
    let listed = house.client.get(TEMPLATES).await?;
    assert_eq!(listed.text, format!("[{}]", changed.text));
    let other = roentgen_tests::TestClient::dev(&house.server.base, fresh());
    assert_eq!(other.get(&place).await?.status, 404);
    assert_eq!(other.get(TEMPLATES).await?.text, "[]");
    Ok(())
}

async fn a_code_is_taken_once(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    a_template(&house, json!({ "code": "CT_HEAD" })).await?;
    let again = json!({ "code": "ct_head", "name": "x", "template_type": "free_text" });
    let refused = RejectedRequest::post(TEMPLATES, again.to_string(), ProblemCode::AlreadyExists);
    assert_all_rejected(&house.client, vec![refused]).await
}

async fn structured_templates_need_a_schema_that_can_be_evaluated(
    engine: EngineKind,
) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let id = a_template(&house, json!({})).await?;
    let place = format!("{TEMPLATES}/{id}");
    let body = |schema: Value| {
        let body = json!({ "code": "X", "name": "x", "template_type": "structured" });
        with(body, json!({ "schema": schema })).to_string()
    };
    let becomes = json!({ "template_type": "hybrid" }).to_string();
    let patched = json!({ "schema": { "type": "flower" } }).to_string();
    let long = json!({ "title": "x".repeat(65 * 1024) });
    let endless = json!({ "properties": { "a": { "$ref": "#" } } });
    let refused = vec![
        RejectedRequest::post(TEMPLATES, body(Value::Null), ProblemCode::Unacceptable)
            .at(&["/schema"]),
        RejectedRequest::patch(&place, becomes, ProblemCode::Unacceptable).at(&["/schema"]),
        RejectedRequest::patch(&place, patched, ProblemCode::Unacceptable).at(&["/schema/type"]),
        RejectedRequest::post(TEMPLATES, body(long), ProblemCode::Unacceptable).at(&["/schema"]),
        RejectedRequest::post(
            TEMPLATES,
            body(json!({ "properties": { "a": { "minimum": "x" } } })),
            ProblemCode::Unacceptable,
        )
        .at(&["/schema/properties/a/minimum"]),
        RejectedRequest::post(TEMPLATES, body(endless), ProblemCode::Unacceptable),
        RejectedRequest::post(TEMPLATES, body(json!([])), ProblemCode::InvalidBody),
    ];
    assert_all_rejected(&house.client, refused).await
}

async fn a_schema_points_into_itself_only(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let body = |reference: &str| {
        let schema = json!({ "properties": { "a": { "$ref": reference } } });
        let body = json!({ "code": "X", "name": "x", "template_type": "hybrid", "schema": schema });
        body.to_string()
    };
    let remote = [
        "https://example.org/x",
        "file:///etc/passwd",
        "x.json",
        "#a",
    ];
    let refused = remote.map(|remote| {
        RejectedRequest::post(TEMPLATES, body(remote), ProblemCode::Unacceptable)
            .at(&["/schema/properties/a/$ref"])
    });
    assert_all_rejected(&house.client, refused.into()).await
}

async fn lists_by_modality_and_body_part_in_any_case(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let head = a_template(&house, json!({})).await?;
    let chest = a_template(&house, json!({ "body_part": "Chest" })).await?;
    let retired = json!({ "modality_code": "MR", "is_active": false });
    let retired = a_template(&house, retired).await?;
    let any = json!({ "modality_code": null, "body_part": null });
    let any = a_template(&house, any).await?;
    for (query, expected) in [
        ("", vec![&any, &retired, &chest, &head]),
        ("?modality_code=ct", vec![&chest, &head]),
        ("?modality_code=CT&body_part=cHEST", vec![&chest]),
        ("?body_part=head", vec![&retired, &head]),
        ("?body_part=head&is_active=true", vec![&head]),
        ("?is_active=false", vec![&retired]),
        ("?modality_code=US", vec![]),
    ] {
        let listed = house.client.get(&format!("{TEMPLATES}{query}")).await?;
        assert_eq!(listed.ids().iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let page = house.client.get(&format!("{TEMPLATES}?limit=3")).await?;
    let rest = house.client.get(&page.next_page().unwrap()).await?;
    assert_eq!(rest.ids(), [head]);
    Ok(())
}

async fn refuses_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let wrong = json!({
        "code": "a b", "name": " ", "template_type": "story", "modality_code": "C T",
        "default_text": { "findings": 1 },
    });
    let pointers = &[
        "/code",
        "/name",
        "/modality_code",
        "/template_type",
        "/default_text",
    ];
    let unknown = format!("{TEMPLATES}/{}", fresh());
    let refused = vec![
        RejectedRequest::post(TEMPLATES, wrong.to_string(), ProblemCode::Unacceptable).at(pointers),
        RejectedRequest::post(TEMPLATES, "{}", ProblemCode::Unacceptable).at(&[
            "/code",
            "/name",
            "/template_type",
        ]),
        RejectedRequest::post(TEMPLATES, r#"{"kode":1}"#, ProblemCode::InvalidBody).at(&[""]),
        RejectedRequest::get("/radiology/templates?kind=x", ProblemCode::InvalidParameter),
        RejectedRequest::get(&unknown, ProblemCode::NotFound),
        RejectedRequest::patch(&unknown, "{}", ProblemCode::NotFound),
    ];
    assert_all_rejected(&house.client, refused).await
}
