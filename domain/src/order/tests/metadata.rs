//! A change of metadata is applied as a merge patch.

use super::*;

fn metadata(json: &str) -> Change<Metadata> {
    let object: Json = serde_json::from_str(json).unwrap();
    Change::Set(Phi::new(MetadataObject::parse(&object).unwrap()))
}

fn with_metadata(json: &str) -> Event {
    let (order_id, patient_id) = ids();
    Event::DetailsUpdated(DetailsUpdated {
        order_id,
        patient_id,
        scheduled_slot_id: Change::Keep,
        performed_start_at: None,
        phi: Some(DetailsPhi {
            metadata: metadata(json),
        }),
    })
}

#[test]
fn metadata_change_member_by_member() {
    let before = || with_metadata(r#"{"bed":{"room":7,"side":"left"},"dose":1.50}"#);
    let patch = || update(|asked| asked.metadata = metadata(r#"{"bed":{"side":null,"floor":2}}"#));
    given::<Order>([created(), before()])
        .when(patch())
        .then([with_metadata(r#"{"bed":{"floor":2,"room":7},"dose":1.50}"#)]);
    given::<Order>([created()])
        .when(patch())
        .then([with_metadata(r#"{"bed":{"floor":2}}"#)]);
    let empty = update(|asked| asked.metadata = metadata(r#"{"bed":{},"ward":null}"#));
    given::<Order>([created(), before(), cancelled(None)])
        .when(empty)
        .then([]);
}

#[test]
fn metadata_are_bounded_after_the_change_too() {
    let long = |name: &str| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(40 * 1024));
    given::<Order>([created(), with_metadata(&long("a"))])
        .when(update(|asked| asked.metadata = metadata(&long("b"))))
        .refused(Error::Metadata(JsonLimitError::TooLong(64 * 1024)));
}
