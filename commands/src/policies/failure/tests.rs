use std::sync::Arc;

use roentgen_store::keys::Misfit;
use roentgen_store::sqlite::TooOld;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn refused() -> EngineError {
    let found = "3.0.0".to_owned();
    TooOld { found }.into()
}

fn damaged_column() -> EngineError {
    EngineError::Damaged(Damage::Column {
        column: "payload",
        position: 7,
    })
}

fn of(error: impl Into<StoreError>) -> Failure {
    Failure::of(&CommandError::Store(error.into()))
}

#[test]
fn of_keys_only_the_databases_own_failure_and_the_process_end_pass() {
    assert_eq!(of(KeyError::Closing), Failure::Passing);
    for lasting in [
        KeyError::Damaged,
        KeyError::DamagedSecret,
        KeyError::Misfit(Misfit::OtherMasterKey),
        KeyError::Missing,
        KeyError::MasterKeyForm,
    ] {
        assert_eq!(of(lasting), Failure::Lasting);
    }
    let looked_up = |error| of(KeyError::Engine(Arc::new(error)));
    assert_eq!(looked_up(refused()), Failure::Mendable);
    assert_eq!(looked_up(damaged_column()), Failure::Lasting);
}

#[test]
fn a_database_that_refuses_may_be_mended_and_damaged_data_may_not() {
    assert_eq!(of(refused()), Failure::Mendable);
    assert_eq!(
        of(EngineError::Damaged(Damage::Answer)),
        Failure::Mendable,
        "two releases in one database"
    );
    assert_eq!(of(damaged_column()), Failure::Lasting);
    assert_eq!(of(StoreError::EventTooLarge { bytes: 1 }), Failure::Lasting);
    assert_eq!(of(StoreError::OutcomeUnknown), Failure::Passing);
}

#[test]
fn what_may_be_mended_is_waited_out_for_an_hour() {
    assert!(Failure::Mendable.is_tried_again(59 * MINUTE));
    assert!(!Failure::Mendable.is_tried_again(60 * MINUTE));
    assert!(Failure::Passing.is_tried_again(10_000 * MINUTE));
    for ends in [Failure::Lasting, Failure::Refusal] {
        assert!(!ends.is_tried_again(Duration::ZERO));
    }
}
