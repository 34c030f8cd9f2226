//! `/imaging/procedures`.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use crate::assertions::{RejectedRequest, assert_all_rejected, log_head};
use crate::test_app::{TestApp, fresh, on_both_engines, with};

on_both_engines!(
    are_created_once_and_changed,
    are_listed_by_every_filter,
    refuse_what_is_not_acceptable,
);

const PROCEDURES: &str = "/imaging/procedures";

async fn are_created_once_and_changed(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let modality = house
        .client
        .get("/imaging/modalities")
        .await?
        .ids()
        .concat();
    let told = json!({ "name": "CT brain", "modality_id": modality, "description": "d", "body_part": "Brain",
        "snomed_code": "77477000", "loinc_code": "30799-1", "default_duration_minutes": 15,
        "preparation_instructions": "none", "is_active": true });
    let body = with(told.clone(), json!({ "code": "ct_brain_wo_contrast" }));
    let created = house.client.post(PROCEDURES, &body).await?;
    assert_eq!(created.status, 201, "{created:?}");
    for (member, value) in told.as_object().into_iter().flatten() {
        assert_eq!(&created.json()[member], value, "{member}");
    }
    let words = ["/code", "/modality_code"].map(|text| created.text_at(text));
    assert_eq!(words, ["CT_BRAIN_WO_CONTRAST", "CT"]);
    let place = created.header("location");
    assert_eq!(house.client.get(&place).await?.text, created.text);
    let again = RejectedRequest::post(PROCEDURES, body.to_string(), ProblemCode::AlreadyExists);
    assert_all_rejected(&house.client, vec![again]).await?;
    let changes = json!({ "name": "CT head", "description": "D", "body_part": "HEAD", "snomed_code": "1",
        "loinc_code": "2", "default_duration_minutes": 1440, "preparation_instructions": "fast",
        "is_active": false });
    let changed = house
        .client
        .with("if-match", "\"1\"")
        .patch(&place, &changes)
        .await?;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, "\"2\"".to_owned()),
        "{changed:?}"
    );
    for (member, value) in changes.as_object().into_iter().flatten() {
        assert_eq!(&changed.json()[member], value, "{member}");
    }
    let before = log_head(&house.client).await?;
    assert_eq!(
        house.client.patch(&place, &changes).await?.text,
        changed.text
    );
    assert_eq!(log_head(&house.client).await?, before);
    assert_eq!(house.client.get(&place).await?.text, changed.text);
    Ok(())
}

async fn are_listed_by_every_filter(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let mr = json!({ "code": "MR", "name": "Magnetic resonance" });
    let mr = house
        .client
        .post("/imaging/modalities", &mr)
        .await?
        .text_at("/id");
    let ct = house
        .client
        .get(&format!("{PROCEDURES}/{}", house.procedure))
        .await?
        .text_at("/modality_id");
    for (code, name, modality, body_part, is_active) in [
        ("MR_BRAIN", "MR brain", &mr, Some("Brain"), true),
        ("MR_KNEE", "MR knee 100%", &mr, Some("KNEE"), false),
        ("CT_KNEE", "CT Knie Schädel ÄÖÜ", &ct, Some("knee"), true),
        ("CTXHEAD", "CT back\\slash", &ct, None, true),
    ] {
        let body = json!({ "code": code, "name": name, "modality_id": modality, "body_part": body_part,
            "is_active": is_active });
        let created = house.client.post(PROCEDURES, &body).await?;
        assert_eq!(created.status, 201, "{created:?}");
    }
    for (query, codes) in [
        (
            "".to_owned(),
            vec!["CTXHEAD", "CT_KNEE", "MR_KNEE", "MR_BRAIN", "CT_HEAD"],
        ),
        (format!("modality_id={mr}"), vec!["MR_KNEE", "MR_BRAIN"]),
        (format!("modality_id={}", fresh()), vec![]),
        ("body_part=knee".to_owned(), vec!["CT_KNEE", "MR_KNEE"]),
        ("body_part=BRAIN".to_owned(), vec!["MR_BRAIN"]),
        ("body_part=kne".to_owned(), vec![]),
        ("search=KNEE".to_owned(), vec!["CT_KNEE", "MR_KNEE"]),
        ("search=knie".to_owned(), vec!["CT_KNEE"]),
        ("search=sch%C3%84del".to_owned(), vec!["CT_KNEE"]),
        ("search=ct_".to_owned(), vec!["CT_KNEE", "CT_HEAD"]),
        ("search=%25".to_owned(), vec!["MR_KNEE"]),
        ("search=%5C".to_owned(), vec!["CTXHEAD"]),
        ("search=mr+b".to_owned(), vec!["MR_BRAIN"]),
        ("search='%20OR%201=1".to_owned(), vec![]),
        ("is_active=false".to_owned(), vec!["MR_KNEE"]),
        (
            "is_active=true".to_owned(),
            vec!["CTXHEAD", "CT_KNEE", "MR_BRAIN", "CT_HEAD"],
        ),
        (
            format!("modality_id={mr}&body_part=knee&search=mr&is_active=false"),
            vec!["MR_KNEE"],
        ),
        (
            format!("modality_id={mr}&body_part=knee&search=mr&is_active=true"),
            vec![],
        ),
    ] {
        let listed = house.client.get(&format!("{PROCEDURES}?{query}")).await?;
        assert_eq!(codes_of(&listed.json()), codes, "{query}: {listed:?}");
        let mut paged = Vec::new();
        let mut next = Some(format!("{PROCEDURES}?limit=1&{query}"));
        while let Some(path) = next {
            let page = house.client.get(&path).await?;
            paged.extend(page.ids());
            next = page.next_page();
        }
        assert_eq!(paged, listed.ids(), "{query}");
    }
    Ok(())
}

fn codes_of(list: &Value) -> Vec<String> {
    let rows = list.as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| row["code"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn refuse_what_is_not_acceptable(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let modality = house
        .client
        .get("/imaging/modalities")
        .await?
        .ids()
        .concat();
    let body = |members: Value| {
        let body = json!({ "code": "NEW", "name": "New", "modality_id": modality });
        with(body, members).to_string()
    };
    let post =
        |members: Value, code: ProblemCode| RejectedRequest::post(PROCEDURES, body(members), code);
    let refused = vec![
        RejectedRequest::post(PROCEDURES, "{}", ProblemCode::Unacceptable).at(&[
            "/code",
            "/modality_id",
            "/name",
        ]),
        post(json!({ "code": "" }), ProblemCode::Unacceptable).at(&["/code"]),
        post(json!({ "code": "A B" }), ProblemCode::Unacceptable).at(&["/code"]),
        post(json!({ "name": "  " }), ProblemCode::Unacceptable).at(&["/name"]),
        post(json!({ "body_part": "a\0" }), ProblemCode::Unacceptable).at(&["/body_part"]),
        post(
            json!({ "default_duration_minutes": 0 }),
            ProblemCode::Unacceptable,
        )
        .at(&["/default_duration_minutes"]),
        post(
            json!({ "default_duration_minutes": 1441 }),
            ProblemCode::Unacceptable,
        ),
        post(
            json!({ "default_duration_minutes": 1.5 }),
            ProblemCode::InvalidBody,
        ),
        post(
            json!({ "default_duration_minutes": "15" }),
            ProblemCode::InvalidBody,
        ),
        post(json!({ "is_active": "yes" }), ProblemCode::InvalidBody).at(&["/is_active"]),
        post(json!({ "modality_id": "CT" }), ProblemCode::InvalidBody).at(&["/modality_id"]),
        post(
            json!({ "modality_id": fresh() }),
            ProblemCode::ReferenceNotFound,
        )
        .at(&["/modality_id"]),
        post(
            json!({ "modality_id": house.procedure }),
            ProblemCode::ReferenceNotFound,
        ),
        post(json!({ "priority": 1 }), ProblemCode::InvalidBody).at(&[""]),
    ];
    assert_all_rejected(&house.client, refused).await?;
    let place = format!("{PROCEDURES}/{}", house.procedure);
    let refused = vec![
        RejectedRequest::patch(&place, r#"{"code":"OTHER"}"#, ProblemCode::InvalidBody).at(&[""]),
        RejectedRequest::patch(&place, r#"{"name":""}"#, ProblemCode::Unacceptable).at(&["/name"]),
        RejectedRequest::patch(&place, "[]", ProblemCode::InvalidBody),
    ];
    assert_all_rejected(&house.client, refused).await
}
