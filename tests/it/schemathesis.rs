//! The answers of a server are what its OpenAPI document says: schemathesis sends what the document allows and what it
//! does not, by settings of its own (`tests/schemathesis.toml`), and follows the ids of answers.

use std::path::Path;

use anyhow::Result;
use roentgen_api::routes;
use roentgen_tests::{EngineKind, python};

use crate::test_app::{TestApp, fresh, token_of};

const MAIN: &str = "from schemathesis.cli import schemathesis; schemathesis()";
/// Roles that together have every permission of a tenant's caller.
const ROLES: [&str; 7] = [
    "admin",
    "ai_worker",
    "auditor",
    "clinician",
    "integration",
    "radiologist",
    "technologist",
];

/// On one engine: the document is the same for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_document_says_what_is_answered() -> Result<()> {
    let app = TestApp::start_with_auth(EngineKind::Sqlite).await?;
    let token = token_of(&app.database, &ROLES, Some(fresh()), Some(fresh()))?;
    let base = &app.server.base;
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let mut command = python();
    command
        .args(["-c", MAIN, "--config-file"])
        .arg(settings)
        .args(["run", &format!("{base}/openapi.json"), "--url", base])
        .args(["--seed", "1", "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .current_dir(app.database.directory());
    let run = tokio::task::spawn_blocking(move || command.output()).await??;
    let printed = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{printed}{errors}");
    assert!(printed.contains("No issues found"), "{printed}{errors}");
    let operations = routes::endpoints(false).len();
    assert!(
        printed.contains(&format!("Tested: {operations}")),
        "{printed}"
    );
    Ok(())
}
