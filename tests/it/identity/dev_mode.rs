//! Requests without a token to a `--dev` server.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{EngineKind, TestClient};
use serde_json::json;

use crate::assertions::assert_problem;
use crate::test_app::{TestApp, on_both_engines};

on_both_engines!(lets_an_admin_in_of_the_tenant_that_is_named);

const DEFAULT_TENANT: &str = "00000000-0000-0000-0000-000000000001";

async fn lets_an_admin_in_of_the_tenant_that_is_named(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let created = nobody.post("/imaging/modalities", &modality).await?;
    assert_eq!(
        (created.status, created.text_at("/tenant_id").as_str()),
        (201, DEFAULT_TENANT),
        "{created:?}"
    );
    let named = TestClient::dev(&house.server.base, DEFAULT_TENANT.parse()?);
    assert_eq!(
        named.get("/imaging/modalities").await?.ids(),
        [created.text_at("/id")]
    );
    assert_ne!(
        house.client.get("/imaging/modalities").await?.ids(),
        [created.text_at("/id")]
    );
    let events = nobody.get("/events").await?.lines();
    assert_eq!(
        events[0]["actor"],
        json!({ "sub": "dev-admin", "roles": ["admin"] })
    );
    for bad in ["", "x", "1"] {
        let refused = nobody
            .with("x-tenant-id", bad)
            .get("/imaging/modalities")
            .await?;
        assert_problem(&refused, ProblemCode::InvalidHeader, bad);
    }
    assert_eq!(nobody.get("/metrics").await?.status, 200, "open in --dev");
    for bad in ["", "Bearer", "Bearer x", "Basic eDp5", "x"] {
        let refused = house
            .client
            .with("authorization", bad)
            .get("/imaging/modalities")
            .await?;
        assert_problem(
            &refused,
            ProblemCode::Unauthenticated,
            "a token that is sent is checked",
        );
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    let clinician = house
        .caller("clinician")?
        .with("x-tenant-id", DEFAULT_TENANT);
    assert_eq!(clinician.get("/imaging/orders").await?.status, 200);
    assert_eq!(
        clinician.get("/imaging/modalities").await?.text,
        house.client.get("/imaging/modalities").await?.text
    );
    assert_problem(
        &clinician.post("/imaging/modalities", &modality).await?,
        ProblemCode::Forbidden,
        "a token is no dev admin",
    );
    Ok(())
}
