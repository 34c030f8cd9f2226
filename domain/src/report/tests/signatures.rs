use super::*;

/// Returns the findings as shown to callers without draft access.
fn released_findings(report: &Report) -> Option<PhiText> {
    report.released_content().unwrap().findings
}

#[test]
fn what_is_written_after_a_signature_is_unsigned_until_it_is_signed() {
    let mut commands = vec![create(), sign(false)];
    let signed = a_report(commands.clone());
    assert!(!signed.unsigned_changes);
    commands.push(findings("no bleed"));
    let edited = a_report(commands.clone());
    assert!(edited.unsigned_changes);
    assert_eq!(released_findings(&edited), content().findings);
    let written = edited.authored_content().unwrap().content;
    assert_eq!(written.findings, Some(words("no bleed")));
    assert_eq!(edited.verify_signature(), Some(true));
    commands.push(sign(false));
    let again = a_report(commands);
    assert!(!again.unsigned_changes);
    assert_eq!(released_findings(&again), Some(words("no bleed")));
    assert_ne!(
        again.signed_version().unwrap().sha256,
        signed.signed_version().unwrap().sha256
    );
}

#[test]
fn an_edit_back_to_what_was_signed_leaves_nothing_unsigned() {
    let back = findings("a hyperdense left MCA");
    let report = a_report([create(), sign(false), findings("no bleed"), back]);
    assert!(!report.unsigned_changes);
    let marked = a_report([create(), sign(false), mark(true)]);
    assert!(marked.unsigned_changes, "the mark is signed too");
    assert_eq!(marked.released_critical_result(), Some(false));
}

#[test]
fn the_machines_words_are_neither_signed_nor_released() {
    let summary =
        || edit(|edit| edit.written.ai_assist_summary = Change::Set(words("triage: 0.15")));
    let report = a_report([create(), sign(false), summary()]);
    assert!(!report.unsigned_changes);
    let signed = a_report([create(), summary(), sign(false)]);
    assert_eq!(
        report.signed_version().unwrap().sha256,
        signed.signed_version().unwrap().sha256
    );
}

/// The form that third parties verify: see [`signature`].
#[test]
fn a_signature_is_over_the_canonical_content() {
    let report = a_report([create(), sign(true)]);
    let signed = json!({
        "report_id": report.id(),
        "imaging_study_id": "00000000-0000-0000-0000-000000000005",
        "patient_id": "00000000-0000-0000-0000-000000000007",
        "status": "final",
        "signed_by_radiologist_id": "00000000-0000-0000-0000-000000000014",
        "signed_at": "2026-01-31T08:15:00.000Z",
        "critical_result": false,
        "findings": "a hyperdense left MCA",
        "impression": "acute stroke",
        "sections": [{"code": "ventricles"}],
        "structured_data": {"midline_shift_mm": 4.5},
    });
    let over = crate::canonical_json::ContentDigest::compute(signed.as_object().unwrap());
    assert_eq!(report.signed_version().unwrap().sha256, over);
    assert_eq!(
        over.to_string(),
        "8d1b44328e8d814e7a38e7a7a3dcea25e151470443141175c8be155415c331dd",
        "a signature's form never changes"
    );
}

#[test]
fn a_changed_word_is_found() {
    let signed = after([create(), sign(true), addendum(None)]);
    let whole = given::<Report>(signed.clone()).state();
    assert_eq!(whole.verify_signature(), Some(true));
    assert_eq!(whole.verify_addendum(&whole.addenda()[0]), Some(true));
    let mut changed = signed;
    for event in &mut changed {
        match event {
            Event::Created(created) => {
                created.phi.as_mut().unwrap().content.impression = Some(words("no stroke"));
            }
            Event::AddendumAdded(added) => {
                added.phi.as_mut().unwrap().content = words("all is well")
            }
            Event::Updated(_)
            | Event::Signed(_)
            | Event::CriticalResult(_)
            | Event::CriticalResultCommunicated(_)
            | Event::CriticalResultOverdue(_)
            | Event::AiSuggestionReviewed(_)
            | Event::Cancelled(_) => {}
        }
    }
    let changed = given::<Report>(changed).state();
    assert_eq!(changed.verify_signature(), Some(false));
    assert_eq!(changed.verify_addendum(&changed.addenda()[0]), Some(false));
}

#[test]
fn of_an_erased_patient_nothing_is_said_and_nothing_can_be_signed() {
    let erased = |events: Vec<Event>| {
        let bare = events.into_iter().map(|event| {
            Event::decode(
                event.event_type(),
                1,
                event.payload().unwrap().as_bytes(),
                None,
            )
            .unwrap()
        });
        bare.collect::<Vec<_>>()
    };
    let signed = given::<Report>(erased(after([create(), sign(true), addendum(None)]))).state();
    assert_eq!(signed.status(), Status::Corrected);
    assert_eq!(signed.verify_signature(), None);
    assert_eq!(signed.verify_addendum(&signed.addenda()[0]), None);
    given::<Report>(erased(after([create()])))
        .when(sign(true))
        .refused(Error::Erased);
    given::<Report>(erased(after([create()])))
        .when(findings("x"))
        .refused(Error::Erased);
    given::<Report>(erased(after([create()])))
        .when(cancel())
        .then([after([create(), cancel()]).remove(1)]);
}

#[test]
fn a_number_is_signed_as_it_will_be_read() {
    for number in [
        "0.30000000000000004",
        "1.0",
        "2.5e-9",
        "1e300",
        "123456789.12345679",
        "1.50",
        "123456789012345678901234567890",
        "0.1234567890123456789012345",
    ] {
        let data: Json = serde_json::from_str(&format!("{{\"n\":{number}}}")).unwrap();
        let data = MetadataObject::parse(&data).unwrap();
        let with_number =
            edit(|edit| edit.written.content.structured_data = Change::Set(Phi::new(data.clone())));
        let events = after([create(), with_number, sign(true)]);
        assert_eq!(
            through_a_row(&events).verify_signature(),
            Some(true),
            "{number}"
        );
    }
}
