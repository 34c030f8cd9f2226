use std::sync::Arc;

use roentgen_store::error::KeyMismatch;
use roentgen_store::sqlite::UnsupportedSqliteVersion;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn refused() -> EngineError {
    let found = "3.0.0".to_owned();
    UnsupportedSqliteVersion { found }.into()
}

fn damaged_column() -> EngineError {
    EngineError::Corrupt(Corruption::Column {
        column: "payload",
        position: 7,
    })
}

fn of(error: impl Into<StoreError>) -> FailureKind {
    FailureKind::classify(&CommandError::Store(error.into()))
}

#[test]
fn only_database_and_shutdown_key_errors_are_transient() {
    assert_eq!(of(KeyError::Closing), FailureKind::Transient);
    for lasting in [
        KeyError::CorruptPatientKey,
        KeyError::CorruptSecret,
        KeyError::Mismatch(KeyMismatch::OtherMasterKey),
        KeyError::Missing,
        KeyError::MalformedMasterKey,
    ] {
        assert_eq!(of(lasting), FailureKind::Permanent);
    }
    let looked_up = |error| of(KeyError::Engine(Arc::new(error)));
    assert_eq!(looked_up(refused()), FailureKind::Repairable);
    assert_eq!(looked_up(damaged_column()), FailureKind::Permanent);
}

#[test]
fn a_database_that_refuses_may_be_mended_and_damaged_data_may_not() {
    assert_eq!(of(refused()), FailureKind::Repairable);
    assert_eq!(
        of(EngineError::Corrupt(Corruption::AppendResult)),
        FailureKind::Repairable,
        "two releases in one database"
    );
    assert_eq!(of(damaged_column()), FailureKind::Permanent);
    assert_eq!(
        of(StoreError::EventTooLarge { bytes: 1 }),
        FailureKind::Permanent
    );
    assert_eq!(of(StoreError::OutcomeUnknown), FailureKind::Transient);
}

#[test]
fn what_may_be_mended_is_waited_out_for_an_hour() {
    assert!(FailureKind::Repairable.should_retry(59 * MINUTE));
    assert!(!FailureKind::Repairable.should_retry(60 * MINUTE));
    assert!(FailureKind::Transient.should_retry(10_000 * MINUTE));
    for ends in [FailureKind::Permanent, FailureKind::Rejected] {
        assert!(!ends.should_retry(Duration::ZERO));
    }
}
