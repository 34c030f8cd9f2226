//! Secrets of the catalog.

use roentgen_store::engine::SealedSecret;
use roentgen_store::error::{KeyError, StoreError};
use roentgen_store::keys::MasterKey;
use roentgen_store::secrets::{SecretBytes, Secrets};
use uuid::Uuid;

use crate::builders::tenant;
use crate::harness::{ContractDatabase, DbFile};

on_both_engines!(
    a_secret_comes_back_to_its_tenant_alone,
    a_secret_is_sealed_at_rest,
    another_master_key_or_another_place_does_not_open_it,
);

fn hunter2() -> SecretBytes {
    SecretBytes::new(b"hunter2".to_vec())
}

async fn a_secret_comes_back_to_its_tenant_alone(bed: &ContractDatabase) {
    let node = bed.node().await;
    let id = node.secrets.put(tenant(), &hunter2()).await.unwrap();
    let second = node.secrets.put(tenant(), &hunter2()).await.unwrap();
    assert_ne!(id, second, "each is a row of its own");

    let elsewhere = bed.node().await;
    let back = elsewhere.secrets.get(tenant(), id).await.unwrap();
    assert_eq!(back, Some(hunter2()));
    let stranger = Uuid::from_u128(99).into();
    assert_eq!(node.secrets.get(stranger, id).await.unwrap(), None);
    let unknown = Uuid::from_u128(98).into();
    assert_eq!(node.secrets.get(tenant(), unknown).await.unwrap(), None);
}

async fn a_secret_is_sealed_at_rest(bed: &ContractDatabase) {
    let node = bed.node().await;
    node.secrets.put(tenant(), &hunter2()).await.unwrap();
    let stored = match bed.kind {
        crate::harness::EngineKind::Sqlite => "SELECT hex(sealed) FROM secrets",
        crate::harness::EngineKind::Postgres => "SELECT encode(sealed, 'hex') FROM secrets",
    };
    let rows = bed.ask(DbFile::Keys, stored.to_owned()).await;
    assert_eq!(rows.len(), 1);
    let open = "68756e74657232";
    assert!(!rows[0].to_lowercase().contains(open), "{rows:?}");
}

async fn another_master_key_or_another_place_does_not_open_it(bed: &ContractDatabase) {
    let node = bed.node().await;
    let id = node.secrets.put(tenant(), &hunter2()).await.unwrap();
    let other = MasterKey::parse(&MasterKey::generate()).unwrap();
    let thief = Secrets::new(bed.connect().await, other);
    let refused = thief.get(tenant(), id).await;
    assert!(is_damaged(&refused), "{refused:?}");

    let sealed = node.engine.secret(tenant(), id).await.unwrap().unwrap();
    let moved = SealedSecret {
        tenant_id: Uuid::from_u128(99).into(),
        id,
        sealed,
    };
    node.engine.put_secret(&moved).await.unwrap();
    let refused = node.secrets.get(moved.tenant_id, id).await;
    assert!(is_damaged(&refused), "{refused:?}");
}

fn is_damaged(answer: &Result<Option<SecretBytes>, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Keys(KeyError::CorruptSecret)))
}
