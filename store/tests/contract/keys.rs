//! Patient keys: how they are bound to their log, and how a destroyed key differs from a lost one.

use roentgen_domain::ids::PatientId;
use roentgen_store::StoreError;
use roentgen_store::engine::KeyBinding;
use roentgen_store::error::{EngineError, KeyError, KeyMismatch};
use roentgen_store::keys::{KeyLookup, Keyring, MasterKey, key_mismatch};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::{KeyState, KnownKeys, NewPatientKey};

use crate::builders::{key_of, patient, stream, tenant, to};
use crate::harness::{ContractDatabase, ContractNode, DbFile, EngineKind, opened};

on_both_engines!(
    key_is_deleted_with_its_tombstone_only,
    tombstone_is_permanent,
    key_of_a_refused_append_is_listed_with_the_next_one,
    patient_whose_key_is_lost_gets_no_second_one,
    patient_whose_key_is_erased_may_get_another_one,
    keys_older_than_the_log_are_refused,
    another_master_key_is_refused_and_binds_nothing,
    wrapped_keys_say_what_wrapped_them,
);

on_sqlite_only!(
    log_of_an_earlier_release_is_tied_when_it_is_opened,
    log_of_an_earlier_release_without_its_keys_is_refused,
    keys_of_another_log_are_refused,
    keys_without_their_log_are_refused,
    new_keys_beside_a_tied_log_are_refused,
);

/// Appends an event with a new patient's key and returns the key; nothing opens its wrapped bytes.
async fn with_a_key(node: &ContractNode) -> NewPatientKey {
    let key = key_of(patient());
    let mut append = to(stream(), 0, 1);
    append.patient_keys = vec![key.clone()];
    node.append(append).await.unwrap();
    key
}

async fn known(node: &ContractNode, patient: PatientId) -> KnownKeys {
    let known = node.engine.patient_keys(&[(tenant(), patient)]).await;
    known.unwrap().remove(0)
}

fn id(bed: &ContractDatabase, key: &NewPatientKey) -> String {
    match bed.kind {
        EngineKind::Sqlite => format!("x'{}'", key.wrapped.key_id.simple()),
        EngineKind::Postgres => format!("'{}'", key.wrapped.key_id),
    }
}

async fn erase(bed: &ContractDatabase, key: &NewPatientKey) {
    let id = id(bed, key);
    let tombstone = format!(
        "INSERT INTO key_tombstones (key_id, tenant, patient, master_id, erased_at, erased_by) \
         SELECT key_id, tenant, patient, master_id, 1, 'operator:tests' FROM patient_keys WHERE key_id = {id}"
    );
    assert_eq!(bed.on_keys(&tombstone).await.unwrap(), 1);
    let delete = format!("DELETE FROM patient_keys WHERE key_id = {id}");
    assert_eq!(bed.on_keys(&delete).await.unwrap(), 1);
}

async fn looked(node: &ContractNode) -> Option<KeyMismatch> {
    let master = MasterKey::parse(ContractNode::MASTER_KEY).unwrap();
    let found = key_mismatch(&*node.engine, master.fingerprint(), KeyBinding::Look).await;
    found.unwrap()
}

async fn key_is_deleted_with_its_tombstone_only(bed: &ContractDatabase) {
    let node = bed.node().await;
    let key = with_a_key(&node).await;
    let id = id(bed, &key);
    for refused in [
        format!("DELETE FROM patient_keys WHERE key_id = {id}"),
        "DELETE FROM patient_keys".to_owned(),
        format!("UPDATE patient_keys SET patient = key_id WHERE key_id = {id}"),
    ] {
        assert!(bed.on_keys(&refused).await.is_err(), "{refused}");
    }
    if bed.kind == EngineKind::Postgres {
        assert!(bed.on_keys("TRUNCATE patient_keys").await.is_err());
    }
    let rewrapped = format!("UPDATE patient_keys SET wrapped = wrapped WHERE key_id = {id}");
    assert_eq!(bed.on_keys(&rewrapped).await.unwrap(), 1);
    erase(bed, &key).await;
    let expected = KnownKeys {
        erased: vec![key.wrapped.key_id],
        registered: vec![key.wrapped.key_id],
        ..KnownKeys::default()
    };
    assert_eq!(known(&node, key.patient_id).await, expected);
    assert_eq!(expected.missing().count(), 0);
    let standing = node.engine.keys_by_id(&[key.wrapped.key_id]).await.unwrap();
    assert_eq!(standing, [KeyState::Erased(key.wrapped.key_id)]);
    assert_eq!(looked(&node).await, None, "an erasure is no mismatch");
}

async fn tombstone_is_permanent(bed: &ContractDatabase) {
    let node = bed.node().await;
    erase(bed, &with_a_key(&node).await).await;
    for refused in [
        "DELETE FROM key_tombstones",
        "UPDATE key_tombstones SET erased_by = 'nobody'",
    ] {
        assert!(bed.on_keys(refused).await.is_err(), "{refused}");
    }
    if bed.kind == EngineKind::Postgres {
        assert!(bed.on_keys("TRUNCATE key_tombstones").await.is_err());
        assert!(bed.on_keys("TRUNCATE key_register").await.is_err());
        assert!(bed.on_keys("DELETE FROM key_register").await.is_err());
    }
}

/// On SQLite the keys are committed before the log: a key may wait for its first event and is listed with it.
async fn key_of_a_refused_append_is_listed_with_the_next_one(bed: &ContractDatabase) {
    let node = bed.node().await;
    let patient = patient();
    let first = node
        .keyring
        .key_for_write(tenant(), patient, KeyLookup::Verified)
        .await
        .unwrap();
    let mut refused = to(stream(), 5, 1);
    refused.patient_keys.extend(first.new);
    let conflict = node.append(refused).await;
    assert!(
        matches!(conflict, Err(StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    assert!(known(&node, patient).await.registered.is_empty());

    let second = node
        .keyring
        .key_for_write(tenant(), patient, KeyLookup::Verified)
        .await
        .unwrap();
    let mut append = to(stream(), 0, 1);
    append.patient_keys.extend(second.new);
    assert_eq!(append.patient_keys.len(), 1, "it goes along once more");
    let key_id = append.patient_keys[0].wrapped.key_id;
    node.append(append).await.unwrap();
    let known = known(&node, patient).await;
    assert_eq!(known.registered, [key_id]);
    assert!(!known.is_waiting);
}

async fn patient_whose_key_is_lost_gets_no_second_one(bed: &ContractDatabase) {
    let node = bed.node().await;
    let lost = with_a_key(&node).await;
    bed.lose_keys(&format!("key_id = {}", id(bed, &lost))).await;
    let before = node.position().await;
    let newcomer = patient();
    let writing = node
        .keyring
        .key_for_write(tenant(), newcomer, KeyLookup::Verified);
    writing.await.unwrap();
    let guess = node
        .keyring
        .key_for_write(tenant(), lost.patient_id, KeyLookup::Optimistic);
    let mut guessed = to(stream(), 0, 1);
    guessed.patient_keys.extend(guess.await.unwrap().new);
    assert_eq!(guessed.patient_keys.len(), 1, "newcomers are guessed");
    let refused = node.append(guessed).await.unwrap_err();
    match bed.kind {
        EngineKind::Sqlite => assert!(
            matches!(refused, StoreError::PatientKeyExists),
            "{refused:?}"
        ),
        EngineKind::Postgres => assert!(
            matches!(refused, StoreError::Engine(EngineError::KeyMissing)),
            "{refused:?}"
        ),
    }
    let finding = KeyLookup::Verified;
    let writing = node
        .keyring
        .key_for_write(tenant(), lost.patient_id, finding)
        .await;
    assert!(matches!(writing, Err(KeyError::Missing)), "{writing:?}");
    assert_eq!(node.position().await, before);
    assert_eq!(
        known(&node, lost.patient_id).await.registered,
        [lost.wrapped.key_id]
    );
    assert_eq!(node.keyring.still_missing(&*node.engine).await.unwrap(), 1);
}

async fn patient_whose_key_is_erased_may_get_another_one(bed: &ContractDatabase) {
    let node = bed.node().await;
    let erased = with_a_key(&node).await;
    erase(bed, &erased).await;
    let next = key_of(erased.patient_id);
    let mut append = to(stream(), 0, 1);
    append.patient_keys = vec![next.clone()];
    node.append(append).await.unwrap();
    let known = known(&node, erased.patient_id).await;
    assert_eq!(known.key, Some(next.wrapped));
    assert_eq!(known.erased, [erased.wrapped.key_id]);
    assert_eq!(known.missing().count(), 0);
}

async fn keys_older_than_the_log_are_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    with_a_key(&node).await;
    let latest = with_a_key(&node).await;
    assert_eq!(looked(&node).await, None);
    bed.lose_keys(&format!("key_id = {}", id(bed, &latest)))
        .await;
    let older = KeyMismatch::KeysOlder {
        missing: 1,
        looked_for: 2,
    };
    assert_eq!(looked(&node).await, Some(older));
    let master = MasterKey::parse(ContractNode::MASTER_KEY).unwrap();
    let opened = Keyring::open(bed.connect().await, master, &BackgroundTasks::new()).await;
    assert!(
        matches!(opened, Err(KeyError::Mismatch(found)) if found == older),
        "{opened:?}"
    );
}

async fn another_master_key_is_refused_and_binds_nothing(bed: &ContractDatabase) {
    let node = bed.node().await;
    let other = MasterKey::parse(&MasterKey::generate()).unwrap();
    for binding in [KeyBinding::Bind, KeyBinding::Look] {
        let found = key_mismatch(&*node.engine, other.fingerprint(), binding).await;
        assert_eq!(found.unwrap(), Some(KeyMismatch::OtherMasterKey));
    }
    assert_eq!(looked(&node).await, None);
}

async fn wrapped_keys_say_what_wrapped_them(bed: &ContractDatabase) {
    let node = bed.node().await;
    with_a_key(&node).await;
    let master = MasterKey::parse(ContractNode::MASTER_KEY).unwrap();
    let expected = roentgen_store::chain::hex(master.fingerprint());
    let hex = match bed.kind {
        EngineKind::Sqlite => "SELECT lower(hex(master_id)) FROM patient_keys",
        EngineKind::Postgres => "SELECT encode(master_id, 'hex') FROM patient_keys",
    };
    assert_eq!(bed.ask(DbFile::Keys, hex.to_owned()).await, [expected]);
}

/// Restores the state of the previous release: nothing ties the files, and there is no list of keys.
async fn untie(bed: &ContractDatabase) {
    let untie = "DELETE FROM meta; DELETE FROM key_register;";
    bed.tamper(untie).await;
    bed.on_keys("DELETE FROM meta WHERE name = 'keys_id'")
        .await
        .unwrap();
}

/// Returns part of an event as a keyring seals it.
async fn sealed(node: &ContractNode) -> NewPatientKey {
    let patient = patient();
    let finding = KeyLookup::Verified;
    let writing = node
        .keyring
        .key_for_write(tenant(), patient, finding)
        .await
        .unwrap();
    let stream = stream();
    let mut append = to(stream, 0, 1);
    append.events[0].sealed = writing.key.seal(b"{}", stream, 1);
    append.patient_keys.extend(writing.new.clone());
    node.append(append).await.unwrap();
    writing.new.unwrap()
}

async fn log_of_an_earlier_release_is_tied_when_it_is_opened(bed: &ContractDatabase) {
    let node = bed.node().await;
    let key = sealed(&node).await;
    node.stop().await;
    untie(bed).await;
    let node = bed.node().await;
    assert_eq!(
        known(&node, key.patient_id).await.registered,
        [key.wrapped.key_id]
    );
    node.stop().await;
    bed.lose_keys("true").await;
    let node = opened(bed).await;
    assert_eq!(
        looked_by(&*node).await,
        Some(KeyMismatch::KeysOlder {
            missing: 1,
            looked_for: 1
        })
    );
}

async fn looked_by(engine: &dyn roentgen_store::engine::Engine) -> Option<KeyMismatch> {
    let master = MasterKey::parse(ContractNode::MASTER_KEY).unwrap();
    let found = key_mismatch(engine, master.fingerprint(), KeyBinding::Bind).await;
    found.unwrap()
}

async fn log_of_an_earlier_release_without_its_keys_is_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    sealed(&node).await;
    node.stop().await;
    untie(bed).await;
    bed.lose_keys("true").await;
    let engine = opened(bed).await;
    assert_eq!(looked_by(&*engine).await, Some(KeyMismatch::KeysMissing));
}

async fn keys_of_another_log_are_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    sealed(&node).await;
    node.stop().await;
    bed.on_keys("UPDATE meta SET value = randomblob(16) WHERE name = 'keys_id'")
        .await
        .unwrap();
    let engine = opened(bed).await;
    assert_eq!(looked_by(&*engine).await, Some(KeyMismatch::OtherLog));
}

async fn keys_without_their_log_are_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    sealed(&node).await;
    node.stop().await;
    std::fs::remove_file(bed.file(DbFile::Log)).unwrap();
    let engine = opened(bed).await;
    assert_eq!(looked_by(&*engine).await, Some(KeyMismatch::LogMissing));
}

async fn new_keys_beside_a_tied_log_are_refused(bed: &ContractDatabase) {
    let node = bed.node().await;
    node.stop().await;
    std::fs::remove_file(bed.file(DbFile::Keys)).unwrap();
    let engine = opened(bed).await;
    assert_eq!(looked_by(&*engine).await, Some(KeyMismatch::KeysMissing));
}
