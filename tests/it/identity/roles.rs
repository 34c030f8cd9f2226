//! The role table of the contract (section 2): permissions of each role.

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::Method;
use roentgen_api::routes;
use roentgen_tests::{EngineKind, TestClient};

use crate::assertions::log_head;
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(each_may_what_the_table_says_and_nothing_else);

const ROLES: [&str; 8] = [
    "clinician",
    "technologist",
    "radiologist",
    "ai_worker",
    "integration",
    "auditor",
    "admin",
    "operator",
];

/// Request, and a mark for each of [`ROLES`]: `x` is allowed, `-` is 403; `o` is open to everybody.
const TABLE: &[(&str, &str, &str, &str)] = &[
    // Clinician, technologist, radiologist, AI worker, integration, auditor, admin, operator:  CTRWIUAO
    ("POST", "/imaging/modalities", "{}", "------x-"),
    ("GET", "/imaging/modalities", "", "xxx-xxx-"),
    ("GET", "/imaging/modalities/{id}", "", "xxx-xxx-"),
    ("PATCH", "/imaging/modalities/{id}", "{}", "------x-"),
    ("POST", "/imaging/procedures", "{}", "------x-"),
    ("GET", "/imaging/procedures", "", "xxx-xxx-"),
    ("GET", "/imaging/procedures/{id}", "", "xxx-xxx-"),
    ("PATCH", "/imaging/procedures/{id}", "{}", "------x-"),
    ("POST", "/imaging/orders", "{}", "x-x-x-x-"),
    ("GET", "/imaging/orders", "", "xxx-xxx-"),
    ("GET", "/imaging/orders/{id}", "", "xxx-xxx-"),
    (
        "PATCH",
        "/imaging/orders/{id}",
        r#"{"status":"cancelled"}"#,
        "x-x-x-x-",
    ),
    (
        "PATCH",
        "/imaging/orders/{id}",
        r#"{"status":"scheduled"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/imaging/orders/{id}",
        r#"{"status":"in_progress"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/imaging/orders/{id}",
        r#"{"status":"completed"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/imaging/orders/{id}",
        r#"{"status":"cancelled","metadata":{}}"#,
        "----x-x-",
    ),
    ("PATCH", "/imaging/orders/{id}", "{}", "-x--x-x-"),
    ("POST", "/imaging-ai/models", "{}", "------x-"),
    ("GET", "/imaging-ai/models", "", "xxxxxxx-"),
    ("GET", "/imaging-ai/models/{id}", "", "xxxxxxx-"),
    ("PATCH", "/imaging-ai/models/{id}", "{}", "------x-"),
    ("POST", "/imaging-ai/tasks", "{}", "--x-x-x-"),
    ("GET", "/imaging-ai/tasks", "", "--xxxxx-"),
    ("GET", "/imaging-ai/tasks/{id}", "", "--xxxxx-"),
    (
        "PATCH",
        "/imaging-ai/tasks/{id}/status",
        r#"{"status":"cancelled"}"#,
        "--x-x-x-",
    ),
    (
        "PATCH",
        "/imaging-ai/tasks/{id}/status",
        r#"{"status":"running"}"#,
        "---xx-x-",
    ),
    ("POST", "/imaging-ai/outputs", "{}", "---xx-x-"),
    ("GET", "/imaging-ai/outputs", "", "--xxxxx-"),
    ("GET", "/imaging-ai/outputs/{id}", "", "--xxxxx-"),
    ("POST", "/pacs/endpoints", "{}", "------x-"),
    ("GET", "/pacs/endpoints", "", "xxx-xxx-"),
    ("GET", "/pacs/endpoints/{id}", "", "xxx-xxx-"),
    ("PATCH", "/pacs/endpoints/{id}", "{}", "------x-"),
    ("POST", "/pacs/studies/sync", "{}", "-x--x-x-"),
    ("GET", "/pacs/studies", "", "xxxxxxx-"),
    ("GET", "/pacs/studies/{id}", "", "xxxxxxx-"),
    ("PATCH", "/pacs/studies/{id}", "{}", "-x--x-x-"),
    ("POST", "/pacs/series", "{}", "-x--x-x-"),
    ("GET", "/pacs/series", "", "xxxxxxx-"),
    ("POST", "/pacs/instances", "{}", "-x--x-x-"),
    ("GET", "/pacs/instances", "", "xxxxxxx-"),
    ("GET", "/pacs/studies/{id}/viewer-launch", "", "xxx---x-"),
    // Accepts a viewer token, which no bearer token is.
    ("GET", "/pacs/viewer-tokens/verify", "", "xxxxxxxx"),
    ("POST", "/radiology/reading-profiles", "{}", "------x-"),
    ("GET", "/radiology/reading-profiles", "", "xxx-xxx-"),
    ("GET", "/radiology/reading-profiles/{id}", "", "xxx-xxx-"),
    ("PUT", "/radiology/reading-profiles/{id}", "{}", "------x-"),
    (
        "PATCH",
        "/radiology/reading-profiles/{id}",
        "{}",
        "------x-",
    ),
    ("POST", "/radiology/worklist/items", "{}", "-x--x-x-"),
    ("GET", "/radiology/worklist/items", "", "-xx-xxx-"),
    ("GET", "/radiology/worklist/items/{id}", "", "-xx-xxx-"),
    (
        "POST",
        "/radiology/worklist/items/{id}/claim",
        "{}",
        "--x-----",
    ),
    (
        "POST",
        "/radiology/worklist/items/{id}/release",
        "{}",
        "--x---x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"status":"cancelled"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"status":"pending"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"priority":"stat"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"assigned_radiologist_id":"00000000-0000-0000-0000-000000000021"}"#,
        "-x--x-x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"status":"in_progress"}"#,
        "--x---x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"status":"completed"}"#,
        "--x---x-",
    ),
    (
        "PATCH",
        "/radiology/worklist/items/{id}",
        r#"{"ai_triage_score":0.5}"#,
        "----x-x-",
    ),
    ("GET", "/patients/{id}/timeline", "", "xxx-xxx-"),
    ("POST", "/radiology/templates", "{}", "------x-"),
    ("GET", "/radiology/templates", "", "xxx-xxx-"),
    ("GET", "/radiology/templates/{id}", "", "xxx-xxx-"),
    ("PATCH", "/radiology/templates/{id}", "{}", "------x-"),
    ("POST", "/radiology/reports", "{}", "--x-----"),
    ("GET", "/radiology/reports", "", "xxx-xxx-"),
    ("GET", "/radiology/reports/{id}", "", "xxx-xxx-"),
    ("PATCH", "/radiology/reports/{id}", "{}", "--x-----"),
    ("POST", "/radiology/reports/{id}/sign", "{}", "--x-----"),
    ("POST", "/radiology/reports/{id}/cancel", "{}", "--x-----"),
    ("POST", "/radiology/reports/{id}/addenda", "{}", "--x-----"),
    ("GET", "/radiology/reports/{id}/addenda", "", "xxx-xxx-"),
    (
        "POST",
        "/radiology/reports/{id}/communications",
        "{}",
        "--x-----",
    ),
    (
        "POST",
        "/radiology/reports/{id}/ai-suggestions/{output_id}",
        "{}",
        "--x-----",
    ),
    ("GET", "/radiology/critical-results", "", "-xx-xxx-"),
    ("GET", "/events", "", "----xxxx"),
    ("GET", "/admin/projections", "", "-------x"),
    (
        "POST",
        "/admin/projections/{name}/parked/{stream_id}/retry",
        "{}",
        "-------x",
    ),
    ("GET", "/metrics", "", "-------x"),
    ("GET", "/health/live", "", "oooooooo"),
    ("GET", "/health/ready", "", "oooooooo"),
    ("GET", "/openapi.json", "", "oooooooo"),
    ("GET", "/docs", "", "oooooooo"),
    ("GET", "/problems/{code}", "", "oooooooo"),
];

async fn each_may_what_the_table_says_and_nothing_else(engine: EngineKind) -> Result<()> {
    let served = routes::endpoints(false)
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    let told: BTreeSet<String> = TABLE
        .iter()
        .map(|pair| format!("{} {}", pair.0, pair.1))
        .collect();
    assert_eq!(told, served, "every endpoint has its row in the table");

    let house = TestApp::start_with_auth(engine).await?;
    let nobody = TestClient::new(&house.server.base);
    let before = log_head(&house.client).await?;
    let unknown = fresh().to_string();
    for (column, role) in ROLES.into_iter().enumerate() {
        let caller = if role == "operator" {
            house.operator()?
        } else {
            house.caller(role)?
        };
        for (verb, path, body, marks) in TABLE.iter().copied() {
            let path = path
                .replace("{id}", &unknown)
                .replace("{output_id}", &unknown)
                .replace("{name}", "orders")
                .replace("{stream_id}", &unknown)
                .replace("{code}", "forbidden");
            let method: Method = verb.parse()?;
            let answer = caller.send(method.clone(), &path, body.into()).await?;
            let said = format!("{role}: {verb} {path} {body}: {answer:?}");
            let refused = marks.as_bytes()[column] == b'-';
            assert_eq!(answer.status == 403, refused, "{said}");
            assert_eq!(answer.code() == "forbidden", refused, "{said}");
            let anonymous = nobody.send(method, &path, body.into()).await?;
            let open = marks.starts_with('o');
            assert_eq!(
                anonymous.status == 401,
                !open,
                "nobody: {verb} {path}: {anonymous:?}"
            );
            assert!(answer.status < 500, "{said}");
        }
    }
    assert_eq!(log_head(&house.client).await?, before);
    Ok(())
}
