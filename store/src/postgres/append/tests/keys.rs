//! Tests of new patients' keys.

use super::*;
use crate::engine::KeyStore as _;
use crate::postgres::test_support::{ask, sqlstate_of};

#[tokio::test]
async fn a_patient_gets_one_key() {
    let database = PostgresFixture::create().await;
    let outcome = database.write(&[keyed(1, 10), keyed(2, 20)]).await;
    assert_eq!(outcome.verdicts, [AppendOutcome::Written; 2]);
    let outcome = database.write(&[keyed(1, 11), keyed(3, 30)]).await;
    assert_eq!(
        outcome.verdicts,
        [AppendOutcome::PatientKeyExists, AppendOutcome::Written]
    );

    let asked = [3, 4, 1].map(|n| (TENANT.into(), uuid::Uuid::from_u128(n).into()));
    let keys = database.patient_keys(&asked).await.unwrap();
    let ids = keys
        .iter()
        .map(|keys| keys.key.as_ref().map(|key| key.key_id.as_u128()));
    assert_eq!(ids.collect::<Vec<_>>(), [Some(30), None, Some(10)]);
}

#[tokio::test]
async fn each_key_is_listed_once() {
    let database = PostgresFixture::create().await;
    let listed = async || {
        let numbers = "SELECT string_agg(key_id::text, ' ' ORDER BY number) FROM key_register";
        ask(&mut database.owner().await, numbers).await
    };
    let ids = |ids: &[u128]| {
        let ids = ids.iter().map(|id| uuid::Uuid::from_u128(*id).to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    database.write(&[keyed(1, 10), keyed(2, 20)]).await;
    database.write(&[keyed(1, 11), keyed(3, 30)]).await;
    assert_eq!(listed().await, ids(&[10, 20, 30]));

    let lost = "ALTER TABLE patient_keys DISABLE TRIGGER USER; DELETE FROM patient_keys";
    run(&mut database.owner().await, lost).await.unwrap();
    let refused = database.send(&[keyed(1, 12), keyed(4, 40)], false).await;
    assert!(
        matches!(refused, Err(EngineError::KeyMissing)),
        "{refused:?}"
    );
    let mut at_odds = keyed(1, 12);
    let stream_id = stream();
    let expected = 9;
    at_odds.append.checks.push(ExpectedVersion {
        stream_id,
        expected,
    });
    let outcome = database.write(&[at_odds, keyed(4, 40)]).await;
    let actual = 0;
    assert_eq!(
        outcome.verdicts,
        [
            AppendOutcome::Conflict { stream_id, actual },
            AppendOutcome::Written
        ]
    );
    let outcome = database.write(&[keyed(1, 10)]).await;
    assert_eq!(
        outcome.verdicts,
        [AppendOutcome::Written],
        "the key is back"
    );
    assert_eq!(listed().await, ids(&[10, 20, 30, 40]));
}

#[tokio::test]
async fn key_without_master_id_is_rejected() {
    let database = PostgresFixture::create().await;
    let unlisted = "INSERT INTO patient_keys (tenant, patient, key_id, wrapped, created_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '', 0)";
    let sqlstate = sqlstate_of(&mut database.server().await, unlisted).await;
    assert_eq!(sqlstate, "23502", "master_id is NOT NULL");
}
