use super::*;
use crate::codes::SectionCode;
use crate::report_template::DefaultText;

/// Outcome of each command in each status: an event, no event (`=`), or a rejection (`-`).
const TABLE: [(Status, [&str; 8]); 5] = {
    use Status::{Cancelled, Corrected, Draft, Final, Preliminary};
    const TOLD: &str = "CriticalResultCommunicated";
    const JUDGED: &str = "AiSuggestionReviewed";
    const ADDED: &str = "AddendumAdded";
    [
        // Edit, mark, sign, sign as final, add addendum, communicate, review, cancel
        (
            Draft,
            [
                "Updated",
                "Updated",
                "Signed",
                "Signed",
                "-",
                TOLD,
                JUDGED,
                "Cancelled",
            ],
        ),
        (
            Preliminary,
            [
                "Updated",
                "Updated",
                "=",
                "Signed",
                "-",
                TOLD,
                JUDGED,
                "Cancelled",
            ],
        ),
        (Final, ["-", "-", "-", "=", ADDED, TOLD, JUDGED, "-"]),
        (Corrected, ["-", "-", "-", "-", ADDED, TOLD, JUDGED, "-"]),
        (Cancelled, ["-", "-", "-", "-", "-", "-", "-", "="]),
    ]
};

#[test]
fn does_in_each_status_what_the_contract_says_and_nothing_else() {
    let commands: [(Operation, fn() -> Command); 8] = [
        (Operation::Edit, || findings("something else")),
        (Operation::Edit, || mark(true)),
        (Operation::Sign, || sign(false)),
        (Operation::Sign, || sign(true)),
        (Operation::AddAddendum, || addendum(None)),
        (Operation::Communicate, || communicate("Dr. Example")),
        (Operation::ReviewSuggestion, || review(Decision::Accepted)),
        (Operation::Cancel, cancel),
    ];
    for (status, row) in TABLE {
        let state = a_report(all_in(status));
        assert_eq!(state.status(), status);
        for ((asked, command), expected) in commands.iter().zip(row) {
            let decided = Report::decide(Some(&state), command(), &context());
            let decided = decided.map(|decided| names(&decided));
            let asked = *asked;
            let expected = match expected {
                "-" => Err(Error::Refused {
                    status,
                    operation: asked,
                }),
                "=" => Ok(Vec::new()),
                event => Ok(vec![event]),
            };
            assert_eq!(decided, expected, "{status}: {asked}");
        }
    }
}

#[test]
fn nothing_can_be_asked_of_a_report_that_is_not_there() {
    for command in [
        findings("x"),
        sign(true),
        addendum(None),
        communicate("x"),
        review(Decision::Rejected),
        cancel(),
        Command::MarkOverdue,
    ] {
        given::<Report>([]).when(command).refused(Error::NotFound);
    }
}

#[test]
fn a_study_has_one_report_until_it_is_cancelled() {
    for status in Status::ALL {
        let again = given::<Report>(after(all_in(*status))).when(create());
        if *status == Status::Cancelled {
            again.then(after([create()]));
        } else {
            again.refused(Error::AlreadyExists);
        }
    }
}

#[test]
fn a_report_begun_again_knows_nothing_of_the_one_before() {
    let bare = || {
        let Command::Create(mut new) = create() else {
            panic!("a creation")
        };
        new.written = AuthoredContent::default();
        Command::Create(new)
    };
    let first = [
        create(),
        mark(true),
        sign(false),
        communicate("Dr. Example"),
        review(Decision::Accepted),
        cancel(),
    ];
    let again = a_report(first.into_iter().chain([bare()]));
    assert_eq!(again.authored_content(), Some(AuthoredContent::default()));
    assert_eq!(again.status(), Status::Draft);
    assert_eq!(again.signed_version(), None);
    assert_eq!(again.critical, None);
    assert!(!again.critical_result && again.communications.is_empty());
    assert!(again.ai_suggestions.is_empty());
    assert_eq!(again.critical_communication(), CriticalCommunication::None);
}

#[test]
fn a_final_report_needs_an_impression_and_a_preliminary_one_does_not() {
    let without = || {
        let Command::Create(mut new) = create() else {
            panic!("a creation")
        };
        new.written.content.impression = None;
        Command::Create(new)
    };
    given::<Report>(after([without()]))
        .when(sign(true))
        .refused(Error::ImpressionMissing);
    assert_eq!(leads_to([without()], sign(false)), ["Signed"]);
    given::<Report>(after([without(), sign(false)]))
        .when(sign(true))
        .refused(Error::ImpressionMissing);
}

#[test]
fn an_edit_tells_what_changed_and_nothing_else() {
    let events = after([create(), findings("no bleed")]);
    let Some(Event::Updated(updated)) = events.last() else {
        panic!("{events:?}")
    };
    let told = serde_json::to_value(updated.phi.as_ref().unwrap()).unwrap();
    assert_eq!(told, json!({"findings": "no bleed"}));
    assert_eq!(
        (updated.radiologist_id, updated.critical_result),
        (None, None)
    );
    for same in [
        findings("a hyperdense left MCA"),
        mark(false),
        edit(|_| ()),
        edit(|edit| edit.written.ai_assist_summary = Change::Set(words("triage: 0.92"))),
        edit(|edit| edit.written.content.structured_data = content().structured_data.into()),
    ] {
        assert_eq!(leads_to([create()], same), [""; 0]);
    }
}

#[test]
fn sections_are_edited_one_by_one_the_four_by_their_names_too() {
    let section = |code: &str, text: &str| Section {
        code: SectionCode::parse(code).unwrap(),
        text: Some(words(text)),
    };
    let written = edit(|edit| {
        edit.sections = vec![
            section("Impression", "no stroke"),
            section("ventricles", "wide"),
        ];
    });
    let now = a_report([create(), written])
        .authored_content()
        .unwrap()
        .content;
    assert_eq!(now.impression, Some(words("no stroke")));
    assert_eq!(now.findings, content().findings);
    assert_eq!(now.sections, Some(vec![section("ventricles", "wide")]));
    let codes: Vec<_> = now
        .all_sections()
        .into_iter()
        .map(|section| section.code)
        .collect();
    assert_eq!(
        codes,
        ["findings", "impression", "ventricles"].map(|text| SectionCode::parse(text).unwrap())
    );
    given::<Report>(after([create()]))
        .when(edit(|edit| edit.sections = vec![section("aorta", "wide")]))
        .refused(Error::NoSuchSection);
}

#[test]
fn editing_a_draft_changes_its_author_preliminary_does_not() {
    let by_attending = || edit_by(attending(), |_| ());
    assert_eq!(
        a_report([create(), by_attending()]).radiologist_id,
        attending()
    );
    assert_eq!(leads_to([create(), sign(false)], by_attending()), [""; 0]);
    let signed = a_report([create(), sign(false), sign_by(attending(), true)]);
    assert_eq!(signed.radiologist_id, resident());
    let release = signed.signed_version().unwrap();
    assert_eq!(release.facts.signed_by_radiologist_id, attending());
    let taken_over = a_report([create(), sign_by(attending(), false)]);
    assert_eq!(taken_over.radiologist_id, attending());
}

#[test]
fn a_final_signature_is_one_radiologists() {
    given::<Report>(after([create(), sign(true)]))
        .when(sign_by(attending(), true))
        .refused(Error::Refused {
            status: Status::Final,
            operation: Operation::Sign,
        });
}

#[test]
fn knows_who_wrote_last() {
    let acts = [
        edit_by(attending(), |edit| {
            edit.written.content.technique = Change::Set(words("plain"));
        }),
        sign_by(attending(), false),
        sign_by(attending(), true),
    ];
    let mut commands = vec![create()];
    assert_eq!(
        a_report(commands.clone()).last_activity.radiologist,
        resident()
    );
    for act in acts {
        commands.push(act);
        let last = a_report(commands.clone()).last_activity;
        assert_eq!((last.radiologist, last.at), (attending(), context().now));
    }
}

#[test]
fn the_latest_judgement_of_a_suggestion_counts() {
    let judged = || [create(), review(Decision::Accepted)];
    assert_eq!(leads_to(judged(), review(Decision::Accepted)), [""; 0]);
    let again = a_report(judged().into_iter().chain([review(Decision::Modified)]));
    let decisions: Vec<_> = again
        .ai_suggestions
        .iter()
        .map(|review| review.decision)
        .collect();
    assert_eq!(decisions, [Decision::Modified]);
    let note = again.phi.unwrap().note(again.ai_suggestions[0].version);
    assert_eq!(note, Some(words("seen on two slices")));
}

fn default_text(value: &serde_json::Value) -> DefaultText {
    DefaultText::parse(&Json::from_serializable(value).unwrap()).unwrap()
}

#[test]
fn the_templates_words_stand_where_nothing_was_written() {
    let by_section = default_text(
        &json!({"findings": "No bleed.", "impression": "Normal.", "aorta": "Normal."}),
    );
    let begun = Content {
        findings: Some(words("A bleed.")),
        ..Content::default()
    };
    let filled = begun.clone().or_default_text(&by_section);
    assert_eq!(filled.findings, begun.findings);
    assert_eq!(filled.impression, Some(words("Normal.")));
    let own = filled.sections.unwrap();
    assert_eq!(
        (own[0].code.as_str(), own[0].code.title()),
        ("aorta", "Aorta".to_owned())
    );
    let text = default_text(&json!("No bleed."));
    assert_eq!(
        Content::default().or_default_text(&text).findings,
        Some(words("No bleed."))
    );
}

/// A section can be removed from a draft even if the template wrote it.
#[test]
fn what_is_optional_in_a_draft_can_be_taken_away() {
    let fill = edit(|asked| {
        asked.written.content.technique = Change::Set(words("Contrast 100 ml IV."));
        asked.written.content.structured_data = content().structured_data.into();
        asked.written.ai_assist_summary = Change::Set(words("triage: 0.92"));
    });
    let clear = || {
        edit(|asked| {
            asked.written.content.technique = Change::Clear;
            asked.written.content.structured_data = Change::Clear;
            asked.written.ai_assist_summary = Change::Clear;
        })
    };
    let report = a_report([create(), fill.clone(), clear()]);
    let written = report.authored_content().unwrap();
    assert_eq!(written.content.technique, None);
    assert_eq!(written.content.structured_data, None);
    assert_eq!(written.ai_assist_summary, None);
    let shown = report.phi().unwrap();
    assert!(!shown.expose().contains_key("technique"), "taken away");
    assert_eq!(leads_to([create(), fill, clear()], clear()), [""; 0]);
}

#[test]
fn a_section_without_text_is_emptied_whether_it_is_one_of_the_four_or_not() {
    let section = |text: Option<&str>| {
        edit(|asked| {
            asked.sections = vec![Section {
                code: SectionCode::TECHNIQUE,
                text: text.map(words),
            }];
        })
    };
    let report = a_report([create(), section(Some("plain")), section(None)]);
    assert_eq!(report.authored_content().unwrap().content.technique, None);
}

#[test]
fn what_leads_a_report_on_has_no_bound_and_what_leads_back_has_one() {
    let cancel = Command::Cancel(Cancel {
        radiologist_id: resident(),
        reason: words("the wrong patient"),
    });
    for (command, room) in [
        (findings("none"), StreamBudget::Bounded),
        (review(Decision::Rejected), StreamBudget::Bounded),
        (sign(false), StreamBudget::Reserved),
        (addendum(None), StreamBudget::Reserved),
        (communicate("Dr. Roe"), StreamBudget::Reserved),
        (cancel, StreamBudget::Reserved),
        (create(), StreamBudget::Unbounded),
        (sign(true), StreamBudget::Unbounded),
        (Command::MarkOverdue, StreamBudget::Unbounded),
    ] {
        assert_eq!(Report::room(None, &command), room, "{command:?}");
    }
}

fn data(json: &str) -> Phi<MetadataObject> {
    let object: Json = serde_json::from_str(json).unwrap();
    Phi::new(MetadataObject::parse(&object).unwrap())
}

#[test]
fn structured_data_change_member_by_member() {
    let patch = |json: &str| {
        let data = Change::Set(data(json));
        edit(|asked| asked.written.content.structured_data = data)
    };
    let set = r#"{"lesion":{"mm":4.50,"side":"left"},"midline_shift_mm":null}"#;
    let state = a_report([create(), patch(set), patch(r#"{"lesion":{"side":null}}"#)]);
    let written = state.authored_content().unwrap().content;
    assert_eq!(
        written.structured_data,
        Some(data(r#"{"lesion":{"mm":4.50}}"#))
    );
}

#[test]
fn structured_data_are_bounded_after_the_change_too() {
    let long = |name: &str| data(&format!(r#"{{"{name}":"{}"}}"#, "x".repeat(40 * 1024)));
    let patch = |name| {
        let data = Change::Set(long(name));
        edit(|asked| asked.written.content.structured_data = data)
    };
    given::<Report>(after([create(), patch("a")]))
        .when(patch("b"))
        .refused(Error::StructuredData(JsonLimitError::TooLong(64 * 1024)));
}
