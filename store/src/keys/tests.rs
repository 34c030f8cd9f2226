use super::*;
use roentgen_domain::json::members_of;

fn patient() -> Patient {
    (Uuid::from_u128(1).into(), Uuid::from_u128(2).into())
}

fn stream() -> StreamId {
    Uuid::from_u128(3).into()
}

fn master() -> MasterKey {
    MasterKey::parse(&MasterKey::generate()).unwrap()
}

fn fresh(master: &MasterKey) -> (PatientKey, NewPatientKey) {
    PatientKey::fresh(master, patient(), Uuid::from_u128(4))
}

#[test]
fn what_is_sealed_opens_where_it_was_sealed_and_nowhere_else() {
    let (key, _) = fresh(&master());
    let sealed = key.seal(b"{}", stream(), 7);
    assert_eq!(key.open(&sealed, stream(), 7), Ok(Some(b"{}".to_vec())));
    assert_eq!(key.open(&sealed, stream(), 8), Err(SealError::Tampered));
    assert_eq!(
        key.open(&sealed, Uuid::from_u128(9).into(), 7),
        Err(SealError::Tampered)
    );
    assert_eq!(key.open(&[], stream(), 7), Err(SealError::Malformed));
}

#[test]
fn one_text_is_never_sealed_twice_alike() {
    let (key, _) = fresh(&master());
    assert_ne!(key.seal(b"x", stream(), 1), key.seal(b"x", stream(), 1));
}

fn holding(current: &PatientKey, erased: &[&PatientKey]) -> PatientKeys {
    PatientKeys {
        current: Some(current.clone()),
        erased: erased.iter().map(|key| key.key_id).collect(),
        ..PatientKeys::default()
    }
}

#[test]
fn part_of_a_key_with_a_tombstone_is_erased_and_any_other_is_missing() {
    let master = master();
    let (old, _) = fresh(&master);
    let (new, _) = PatientKey::fresh(&master, patient(), Uuid::from_u128(5));
    let sealed = old.seal(b"x", stream(), 1);
    let open = |keys: &PatientKeys| keys.open(&sealed, stream(), 1);
    assert_eq!(open(&holding(&new, &[&old])), Ok(None));
    assert_eq!(open(&holding(&new, &[])), Err(SealError::KeyMissing));
    assert_eq!(open(&PatientKeys::default()), Err(SealError::KeyMissing));
    assert_eq!(open(&holding(&old, &[])), Ok(Some(b"x".to_vec())));
    assert_eq!(
        open(&holding(&old, &[&old])),
        Ok(None),
        "the tombstone wins"
    );
}

#[test]
fn a_wrapped_key_opens_under_its_master_and_patient_only() {
    let one = master();
    let (key, new) = fresh(&one);
    let back = one.unwrap(patient(), &new.wrapped, Instant::now()).unwrap();
    let sealed = key.seal(b"x", stream(), 1);
    assert_eq!(back.open(&sealed, stream(), 1), Ok(Some(b"x".to_vec())));
    assert!(matches!(
        master().unwrap(patient(), &new.wrapped, Instant::now()),
        Err(KeyError::CorruptPatientKey)
    ));
    let other = (patient().0, Uuid::from_u128(9).into());
    assert!(matches!(
        one.unwrap(other, &new.wrapped, Instant::now()),
        Err(KeyError::CorruptPatientKey)
    ));
}

#[test]
fn parts_lie_over_one_another_in_order() {
    let (key, _) = fresh(&master());
    let mut parts = SealedPhi::default();
    parts.push(1, &key.seal(br#"{"a":1,"b":1}"#, stream(), 1));
    parts.push(2, &[]);
    parts.push(3, &key.seal(br#"{"b":2}"#, stream(), 3));
    let members = parts.open(stream(), &holding(&key, &[])).unwrap().unwrap();
    assert_eq!(members, members_of(&serde_json::json!({"a": 1, "b": 2})));
    let erased = PatientKeys {
        erased: [key.key_id].into(),
        ..PatientKeys::default()
    };
    assert_eq!(parts.open(stream(), &erased), Ok(None));
}

#[test]
fn one_erased_part_makes_the_whole_erased_and_one_missing_key_makes_it_unreadable() {
    let master = master();
    let (old, _) = fresh(&master);
    let (new, _) = PatientKey::fresh(&master, patient(), Uuid::from_u128(5));
    let (lost, _) = PatientKey::fresh(&master, patient(), Uuid::from_u128(6));
    let mut parts = SealedPhi::default();
    parts.push(1, &old.seal(br#"{"a":1}"#, stream(), 1));
    parts.push(2, &new.seal(br#"{"b":1}"#, stream(), 2));
    let keys = holding(&new, &[&old]);
    assert_eq!(parts.open(stream(), &keys), Ok(None));
    parts.push(3, &lost.seal(br#"{"c":1}"#, stream(), 3));
    let missing = Err(SealError::KeyMissing);
    assert_eq!(parts.open(stream(), &keys), missing, "after an erased part");
    assert_eq!(parts.open(stream(), &holding(&lost, &[&old])), missing);
    assert_eq!(keys.noted.all(), [Uuid::from_u128(6)]);
}

#[test]
fn keys_of_fewer_than_sixteen_distinct_bytes_are_weak() {
    let of = |distinct: u8| -> [u8; 32] { std::array::from_fn(|n| n as u8 % distinct) };
    for weak in [[0; 32], [b' '; 32], of(15)] {
        assert!(is_weak(&weak));
        assert!(matches!(
            MasterKey::parse(&STANDARD.encode(weak)),
            Err(KeyError::MasterKeyWeak)
        ));
    }
    assert!(!is_weak(&of(16)));
    let without_a_digit = b"0123456789abcde1357924680bdaceca13a5b7c9d0e2468ace02468bdf97531f";
    let without_a_digit = without_a_digit.map(|digit| if digit == b'f' { b'0' } else { digit });
    assert!(!is_weak(&without_a_digit), "random bytes in hexadecimal");
    assert!(is_weak(
        b"00112233445566778899aabbccddeeff".map(|_| b'0').as_slice()
    ));
    assert!(MasterKey::parse(&STANDARD.encode(of(16))).is_ok());
}

#[test]
fn keys_never_print_themselves() {
    let text = MasterKey::generate();
    let master = MasterKey::parse(&text).unwrap();
    let (key, _) = fresh(&master);
    assert!(!format!("{master:?} {key:?}").contains(&text));
    assert!(matches!(
        MasterKey::parse("c2hvcnQ="),
        Err(KeyError::MalformedMasterKey)
    ));
}
