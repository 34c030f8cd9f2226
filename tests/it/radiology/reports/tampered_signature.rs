//! Content of a signed report changed past the program, by an attacker with the keys and by one without.

use anyhow::{Context as _, Result};
use roentgen_api::problem::ProblemCode;
use roentgen_store::keys::{Keyring, MasterKey};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::StoredEvent;
use roentgen_store::readers::Scope;
use roentgen_tests::{DbFile, EngineKind, RawDatabase};
use serde_json::json;
use uuid::Uuid;

use super::{a_signed, images, start_with_archive};
use crate::assertions::assert_problem;
use crate::faults::run;
use crate::radiology::fixtures::WorklistApp;
use crate::test_app::{MASTER_KEY, on_both_engines};

on_both_engines!(
    words_sealed_anew_do_not_hold_against_the_signature,
    a_flipped_byte_is_no_words_at_all,
);

/// Returns the first event of a report, and this content sealed with the patient's key.
async fn sealed_anew(
    room: &WorklistApp,
    place: &str,
    patient: Uuid,
    words: &str,
) -> Result<(StoredEvent, Vec<u8>)> {
    let id: Uuid = place.rsplit('/').next().context("no id")?.parse()?;
    let log = roentgen_store::database::DatabaseUrl::parse(&room.house.database.url)?;
    let log = log.connect().await?;
    let tasks = BackgroundTasks::new();
    let master = MasterKey::parse(MASTER_KEY)?;
    let keyring = Keyring::open(log.clone(), master, &tasks).await?;
    let keys = keyring
        .keys(room.house.tenant.into(), patient.into())
        .await?;
    let key = keys.current().context("the patient has no key")?;
    let event = log
        .read_stream(Scope::AllTenants, id.into(), 0, 1)
        .await?
        .pop()
        .context("no event")?;
    let sealed = key.seal(words.as_bytes(), event.stream_id, event.version);
    Ok((event, sealed))
}

async fn replaced(room: &WorklistApp, event: &StoredEvent, sealed: &[u8]) -> Result<()> {
    let hex = roentgen_store::chain::hex(sealed);
    let mut log = RawDatabase::on(&room.house.database, DbFile::Log).await?;
    log.drop_append_only_triggers().await?;
    let bytes = match room.house.database.engine {
        EngineKind::Sqlite => format!("x'{hex}'"),
        EngineKind::Postgres => format!("'\\x{hex}'::bytea"),
    };
    let position = event.position;
    let changed = format!("UPDATE events SET sealed = {bytes} WHERE position = {position}");
    assert_eq!(log.run(&changed).await?, 1);
    let found = run(&room.house.database, &["verify"])?;
    assert_eq!(found.code, Some(1), "{}", found.printed);
    let named = format!("position {position}:");
    assert!(found.printed.contains(&named), "{}", found.printed);
    Ok(())
}

async fn words_sealed_anew_do_not_hold_against_the_signature(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let words = r#"{"findings":"a hyperdense left MCA","impression":"no stroke"}"#;
    let (event, sealed) = sealed_anew(&room, &place, ours.patient, words).await?;
    replaced(&room, &event, &sealed).await?;
    let report = radiologist.client.get(&place).await?.json();
    assert_eq!(report["impression"], "no stroke");
    assert_eq!(report["signature"]["valid"], false);
    Ok(())
}

async fn a_flipped_byte_is_no_words_at_all(engine: EngineKind) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let ours = images(&room, json!({})).await?;
    let radiologist = room.radiologist()?;
    let place = a_signed(&radiologist, &ours, true).await?;
    let (event, _) = sealed_anew(&room, &place, ours.patient, "{}").await?;
    let mut flipped = event.sealed.to_vec();
    *flipped.last_mut().context("nothing is sealed")? ^= 1;
    replaced(&room, &event, &flipped).await?;
    let read = radiologist.client.get(&place).await?;
    assert_problem(&read, ProblemCode::Internal, "words that do not open");
    assert!(!read.text.contains("MCA"), "{read:?}");
    let feed = "/events?phi=true&stream_type=RadiologyReport";
    let told = room.house.client.get(feed).await?.lines();
    let phi: Vec<_> = told.iter().map(|value| value["phi"].clone()).collect();
    assert_eq!(
        phi,
        ["unreadable", "open"],
        "who reads the feed gets past it"
    );
    Ok(())
}
