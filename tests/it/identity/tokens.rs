//! Requests with a token.

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assertions::{RejectedRequest, assert_all_rejected, assert_problem};
use crate::test_app::{MASTER_KEY, SECRET, TestApp, fresh, on_both_engines, serve, token, with};

on_both_engines!(
    is_let_in_with_the_servers_own,
    is_refused_with_any_other,
    is_the_operators_and_nothing_else_without_a_tenant,
    is_held_to_issuer_and_audience,
);

/// Subjects that are not valid.
const NO_SUBJECTS: [&str; 5] = ["", "system", " system", "some\u{0}body", "some\nbody"];

/// Signs valid claims, overridden by these claims, with the server's key and algorithm; null removes a claim.
fn signed(tenant: Uuid, claims: Value) -> Result<String> {
    signed_by(SECRET, Algorithm::HS256, tenant, claims)
}

fn signed_by(secret: &str, algorithm: Algorithm, tenant: Uuid, claims: Value) -> Result<String> {
    let good = json!({ "sub": "somebody", "exp": 4_000_000_000_u64, "tenant_id": tenant, "roles": ["admin"] });
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::new(algorithm), &with(good, claims), &key)?)
}

/// Returns a valid token whose header names an extension that must be understood.
fn critical(tenant: Uuid) -> Result<String> {
    let good = json!({ "sub": "somebody", "exp": 4_000_000_000_u64, "tenant_id": tenant, "roles": ["admin"] });
    let header = Header {
        crit: Some(vec!["b64".to_owned()]),
        ..Header::new(Algorithm::HS256)
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(encode(&header, &good, &key)?)
}

async fn is_let_in_with_the_servers_own(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let practitioner = fresh();
    let claims = json!({ "practitioner_id": practitioner, "name": "Dr. Roe",
        "roles": ["radiologist", "night shift", "radiologist"] });
    let caller = nobody.bearer(&signed(house.tenant, claims)?);
    let created = caller.post("/imaging/orders", &house.order()).await?;
    assert_eq!(created.status, 201, "{created:?}");
    let events = house
        .client
        .get(&format!("/events?stream_id={}", created.text_at("/id")))
        .await?
        .lines();
    let actor = json!({ "sub": "somebody", "practitioner_id": practitioner, "name": "Dr. Roe", "roles": ["radiologist"] });
    assert_eq!(events[0]["actor"], actor);
    for scheme in ["bearer", "BEARER"] {
        let value = format!("{scheme} {}", signed(house.tenant, json!({}))?);
        assert_eq!(
            nobody
                .with("authorization", &value)
                .get("/imaging/orders")
                .await?
                .status,
            200,
            "{scheme}"
        );
    }
    let nothing = nobody.bearer(&signed(house.tenant, json!({ "roles": ["king"] }))?);
    assert_problem(
        &nothing.get("/imaging/orders").await?,
        ProblemCode::Forbidden,
        "no role of ours",
    );
    // Role names are case-sensitive, and an operator belongs to no tenant.
    for roles in [
        json!(["Admin"]),
        json!(["ADMIN", " admin"]),
        json!(["operator"]),
    ] {
        let nothing = nobody.bearer(&signed(house.tenant, json!({ "roles": roles }))?);
        for path in ["/imaging/orders", "/admin/projections"] {
            assert_problem(&nothing.get(path).await?, ProblemCode::Forbidden, path);
        }
    }
    let longest =
        json!({ "sub": "ü".repeat(255), "name": "ü".repeat(255), "exp": 4_000_000_000.5 });
    let caller = nobody.bearer(&signed(house.tenant, longest)?);
    assert_eq!(caller.get("/imaging/orders").await?.status, 200);
    let two = nobody.bearer(&token(
        &house.database,
        &["auditor", "clinician"],
        Some(house.tenant),
    )?);
    assert_eq!(
        two.post("/imaging/orders", &house.order()).await?.status,
        201
    );
    assert_eq!(two.get("/events").await?.status, 200);
    Ok(())
}

/// Returns tokens with a subject or a name that cannot be written to a log and an audit trail.
fn badly_named(tenant: Uuid) -> Result<Vec<String>> {
    let too_long = "s".repeat(256);
    let subjects = NO_SUBJECTS.into_iter().chain([too_long.as_str()]);
    let subjects = subjects.map(|sub| json!({ "sub": sub }));
    let names = ["Dr\nRoe", "Dr\u{0}Roe", too_long.as_str()].map(|name| json!({ "name": name }));
    let tokens = subjects.chain(names).map(|claims| signed(tenant, claims));
    tokens.collect()
}

async fn is_refused_with_any_other(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let good = signed(house.tenant, json!({}))?;
    let parts: Vec<&str> = good.split('.').collect();
    let other = signed(house.tenant, json!({ "roles": ["operator"] }))?;
    let claims = |claims: Value| signed(house.tenant, claims);
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    let bad = [
        String::new(),
        "x".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!(
            "{}.{}.{}",
            parts[0],
            parts[1],
            other.split('.').next_back().unwrap_or_default()
        ),
        none.clone(),
        format!("{none}{}", parts[2]),
        signed_by(SECRET, Algorithm::HS512, house.tenant, json!({}))?,
        signed_by(SECRET, Algorithm::HS384, house.tenant, json!({}))?,
        signed_by(
            "another secret of at least thirty-two bytes",
            Algorithm::HS256,
            house.tenant,
            json!({}),
        )?,
        claims(json!({ "exp": 1_500_000_000 }))?,
        claims(json!({ "exp": null }))?,
        claims(json!({ "exp": "never" }))?,
        claims(json!({ "nbf": 3_900_000_000_u64 }))?,
        claims(json!({ "sub": null }))?,
        critical(house.tenant)?,
        claims(json!({ "tenant_id": null }))?,
        claims(json!({ "tenant_id": "house" }))?,
        claims(json!({ "tenant_id": null, "roles": [] }))?,
        claims(json!({ "roles": "admin" }))?,
        claims(json!({ "practitioner_id": "x" }))?,
    ];
    for token in bad.into_iter().chain(badly_named(house.tenant)?) {
        let caller = nobody.bearer(&token);
        for path in ["/imaging/orders", "/events", "/metrics"] {
            let refused = caller.get(path).await?;
            assert_problem(&refused, ProblemCode::Unauthenticated, &token);
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
        let refused = caller.post("/imaging/orders", &house.order()).await?;
        assert_problem(&refused, ProblemCode::Unauthenticated, &token);
        if parts.contains(&token.as_str()) || token.len() > 20 {
            assert!(
                !house.server.logged()?.contains(&token),
                "a token was logged"
            );
        }
    }
    let named = nobody.with("x-tenant-id", &house.tenant.to_string());
    assert_problem(
        &named.get("/imaging/orders").await?,
        ProblemCode::Unauthenticated,
        "nobody",
    );
    assert_eq!(house.client.get("/imaging/orders").await?.text, "[]");
    Ok(())
}

/// A role in addition to `operator` needs a tenant: without one, no clinical data is shown.
async fn is_the_operators_and_nothing_else_without_a_tenant(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let claims = json!({ "tenant_id": null, "roles": ["operator", "admin"] });
    let both = TestClient::new(&house.server.base).bearer(&signed(house.tenant, claims)?);
    let refused = vec![
        RejectedRequest::get("/events?phi=true", ProblemCode::Forbidden),
        RejectedRequest::get("/imaging/orders", ProblemCode::Forbidden),
        RejectedRequest::post("/imaging/modalities", "{}", ProblemCode::Forbidden),
    ];
    assert_all_rejected(&both, refused).await?;
    assert_eq!(both.get("/metrics").await?.status, 200);
    Ok(())
}

async fn is_held_to_issuer_and_audience(engine: EngineKind) -> Result<()> {
    let house = TestApp::start_with_auth(engine).await?;
    let arguments = [
        "--master-key",
        MASTER_KEY,
        "--jwt-issuer",
        "us",
        "--jwt-audience",
        "roentgen",
    ];
    let server = serve(&house.database, &arguments).await?;
    let strict = TestClient::new(&server.base);
    for right in [
        json!({ "iss": "us", "aud": "roentgen" }),
        json!({ "iss": "us", "aud": ["others", "roentgen"], "exp": 4_000_000_000.5_f64 }),
    ] {
        let said = right.to_string();
        let caller = strict.bearer(&signed(house.tenant, right)?);
        let answer = caller.get("/imaging/orders").await?;
        assert_eq!(answer.status, 200, "{said}: {answer:?}");
    }
    for wrong in [
        json!({}),
        json!({ "iss": "us" }),
        json!({ "aud": "roentgen" }),
        json!({ "iss": "them", "aud": "roentgen" }),
        json!({ "iss": "us", "aud": "other" }),
    ] {
        let said = wrong.to_string();
        let answer = strict
            .bearer(&signed(house.tenant, wrong)?)
            .get("/imaging/orders")
            .await?;
        assert_problem(&answer, ProblemCode::Unauthenticated, &said);
    }
    Ok(())
}
