//! Stored PHI corrupted past the program: it is unreadable, and everything else still works.

use std::time::Duration;

use anyhow::{Context as _, Result};
use roentgen_api::problem::ProblemCode;
use roentgen_tests::poll::wait_until;
use roentgen_tests::{DbFile, EngineKind, RawDatabase, TestClient};
use serde_json::{Value, json};
use uuid::Uuid;

use super::visibility::triaged;
use super::{Images, REPORTS, a_critical, a_draft, case, images, start_with_archive};
use crate::assertions::assert_problem;
use crate::radiology::fixtures::WorklistApp;
use crate::test_app::on_both_engines;

on_both_engines!(
    corrupt_row_does_not_hide_list,
    one_damaged_key_darkens_no_list,
    a_damaged_result_keeps_nobody_from_reporting,
);

/// Time limit until a corrupt key is noticed; a cached key outlives its row by up to 5 s.
const UNTIL_LOOKED_UP: Duration = Duration::from_secs(15);
const CRITICAL: &str = "/radiology/critical-results";
const OUTPUTS: &str = "/imaging-ai/outputs";

/// Lists whose rows contain PHI, with their tables.
const LISTS: [(&str, &str); 5] = [
    ("/pacs/studies", "studies_v2"),
    ("/radiology/worklist/items?status=all", "worklist_items_v2"),
    (REPORTS, "reports_v2"),
    (CRITICAL, "critical_results_v2"),
    (OUTPUTS, "ai_outputs_v2"),
];

/// Returns the state of PHI of a list's rows, with their ids.
async fn told(reader: &TestClient, list: &str) -> Result<Vec<(Uuid, String)>> {
    let listed = reader.get(list).await?;
    assert_eq!(listed.status, 200, "{list}: {listed:?}");
    let rows = listed.json();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let rows = rows.as_array().into_iter().flatten();
    rows.map(|row| Ok((text(row, "id").parse()?, text(row, "phi"))))
        .collect()
}

/// Overwrites the version of the row's sealed parts.
async fn damage_row(room: &WorklistApp, table: &str, id: Uuid) -> Result<()> {
    let mut read = RawDatabase::on(&room.house.database, DbFile::Read).await?;
    let sealed = match room.house.database.engine {
        EngineKind::Sqlite => "CAST(x'00000000000003e7' || substr(sealed, 9) AS BLOB)",
        EngineKind::Postgres => r"'\x00000000000003e7'::bytea || substr(sealed, 9)",
    };
    let id = read.id(id);
    let damage = format!("UPDATE {table} SET sealed = {sealed} WHERE id = {id}");
    assert_eq!(read.run(&damage).await?, 1, "{table}");
    Ok(())
}

/// Creates a patient with a critical report and everything that leads to it.
async fn a_story(room: &WorklistApp) -> Result<Images> {
    let ours = images(room, json!({ "patient": { "mrn": "wombat" } })).await?;
    case(room, &ours).await?;
    triaged(room, &ours, "completed").await?;
    a_critical(&room.radiologist()?, &ours, true).await?;
    Ok(ours)
}

async fn corrupt_row_does_not_hide_list(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let admin = &room.house.client;
    for _ in 0..2 {
        a_story(&room).await?;
    }
    for (list, table) in LISTS {
        let mut expected = told(admin, list).await?;
        assert!(
            expected.iter().all(|expected| expected.1 == "open"),
            "{list}"
        );
        let (damaged, phi) = expected.first_mut().context(list)?;
        damage_row(&room, table, *damaged).await?;
        "unreadable".clone_into(phi);
        assert_eq!(told(admin, list).await?, expected, "{list}");
    }
    let critical = admin.get(CRITICAL).await?.json();
    assert_eq!(critical[0]["critical_communication"], "outstanding");
    let words = [0, 1].map(|number| critical[number]["impression"].as_str());
    assert_eq!(words, [None, Some("acute stroke")]);
    let metrics = admin.get("/metrics").await?.text;
    assert!(metrics.contains("roentgen_unreadable_phi_total"));

    let (study, _) = told(admin, "/pacs/studies").await?.remove(0);
    let folded = admin.get(&format!("/pacs/studies/{study}")).await?;
    assert_eq!(
        folded.text_at("/phi"),
        "open",
        "its stream is whole: {folded:?}"
    );
    let (output, _) = told(admin, OUTPUTS).await?.remove(0);
    let output = admin.get(&format!("{OUTPUTS}/{output}")).await?;
    assert_problem(&output, ProblemCode::Internal, "a result alone");
    Ok(())
}

async fn one_damaged_key_darkens_no_list(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let damaged = a_story(&room).await?;
    let whole = a_story(&room).await?;
    let mut keys = RawDatabase::on(&room.house.database, DbFile::Keys).await?;
    let patient = keys.id(damaged.patient);
    let damage = format!("UPDATE patient_keys SET wrapped = key_id WHERE patient = {patient}");
    let damage = match engine {
        EngineKind::Sqlite => damage,
        EngineKind::Postgres => damage.replace("= key_id", "= uuid_send(key_id)"),
    };
    assert_eq!(keys.run(&damage).await?, 1);
    let list = || async { told(&room.house.client, CRITICAL).await };
    let is_seen = |result: &Result<Vec<(Uuid, String)>>| match result {
        Ok(rows) => rows.iter().any(|(_, phi)| phi == "unreadable"),
        Err(_) => false,
    };
    let listed = wait_until("the key's look-up", UNTIL_LOOKED_UP, list, is_seen).await??;
    let phi: Vec<&str> = listed.iter().map(|(_, phi)| phi.as_str()).collect();
    assert_eq!(phi, ["unreadable", "open"], "{whole:?}");
    Ok(())
}

async fn a_damaged_result_keeps_nobody_from_reporting(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let damaged = triaged(&room, &ours, "completed").await?;
    triaged(&room, &ours, "completed").await?;
    assert_eq!(told(&room.house.client, OUTPUTS).await?.len(), 2);
    damage_row(&room, "ai_outputs_v2", damaged.parse()?).await?;
    let place = a_draft(&radiologist, &ours, json!({})).await?;
    let report = radiologist.client.get(&place).await?.json();
    let summary = report["ai_assist_summary"].as_str().context("no summary")?;
    assert_eq!(summary.lines().count(), 1, "the other one: {summary}");
    Ok(())
}
