//! Outputs: required members of each type, and the task statuses that accept outputs.

use serde_json::Value;

use super::*;
use crate::aggregate::DomainEvent as _;
use crate::ai_task::output::MAX_PAYLOAD_BYTES;
use crate::json::Json;
use crate::text::MAX_TEXT_BYTES;

fn parse(output_type: OutputType, value: Value) -> Result<Payload, Vec<PayloadError>> {
    Payload::parse(output_type, &Json::from_serializable(&value).unwrap())
}

/// Returns a payload of the type with the required members only.
fn plain(output_type: OutputType) -> Value {
    match output_type {
        OutputType::Triage => json!({ "triage_score": 0.92, "flags": ["ICH_suspected"] }),
        OutputType::Quality => json!({ "score": 0.8 }),
        OutputType::FindingList => {
            json!({ "findings": [{ "label": "nodule", "confidence": 0.7 }] })
        }
        OutputType::Bbox => {
            json!({ "boxes": [{ "x": -1, "y": 0.5, "width": 10, "height": 12, "label": "nodule" }] })
        }
        OutputType::Segmentation => json!({ "reference": "https://seg.example.org/1" }),
        OutputType::SuggestedReport => json!({ "findings": "lungs clear" }),
        OutputType::Comparison => json!({ "summary": "unchanged" }),
    }
}

fn add(output_type: OutputType) -> Command {
    let payload = parse(output_type, plain(output_type)).unwrap();
    Command::AddOutput(Box::new(NewOutput { payload }))
}

fn added(output_type: OutputType) -> OutputCreated {
    let decided = AiTask::decide(
        Some(&a_task(Status::Running).state()),
        add(output_type),
        &context(),
    );
    match decided.unwrap().pop() {
        Some(Event::OutputCreated(created)) => *created,
        other => panic!("an output, not {other:?}"),
    }
}

/// Returns the pointers of all errors.
fn validate(output_type: OutputType, value: Value) -> Vec<String> {
    let wrong = parse(output_type, value).err().unwrap_or_default();
    wrong.into_iter().map(|error| error.pointer).collect()
}

#[test]
fn are_refused_on_failed_and_cancelled_tasks_only() {
    for status in Status::ALL.iter().copied() {
        let when = a_task(status).when(add(OutputType::Quality));
        match status {
            Status::Failed | Status::Cancelled => when.refused(Error::OutputsClosed { status }),
            Status::Queued | Status::Running | Status::Completed => {
                let expected = added(OutputType::Quality);
                when.then([Event::OutputCreated(Box::new(expected))]);
            }
        }
    }
}

#[test]
fn are_counted_and_change_nothing_else() {
    let first = added(OutputType::Quality);
    let id = first.output_id;
    let state =
        given::<AiTask>([created(), started(), Event::OutputCreated(Box::new(first))]).state();
    assert_eq!(
        (state.number_of_outputs, state.latest_output_id),
        (1, Some(id))
    );
    assert_eq!(state.progress, a_task(Status::Running).state().progress);
}

/// Score and flags of a triage are open; all other content from a model is PHI.
#[test]
fn are_sealed_but_for_a_triages_score_and_flags() {
    for output_type in OutputType::ALL.iter().copied() {
        let event = Event::OutputCreated(Box::new(added(output_type)));
        let open: Value = serde_json::from_str(&event.payload().unwrap()).unwrap();
        let sealed = event
            .phi()
            .unwrap()
            .map(|phi| serde_json::from_slice::<Value>(phi.expose()).unwrap());
        if output_type == OutputType::Triage {
            assert_eq!(open["payload"], plain(output_type));
            assert_eq!(sealed, None);
        } else {
            assert_eq!(open.get("payload"), None, "{output_type}");
            assert_eq!(sealed, Some(json!({ "payload": plain(output_type) })));
        }
    }
}

#[test]
fn what_a_triage_says_besides_is_sealed() {
    let told = json!({ "triage_score": 1, "flags": [], "remark": "mass effect" });
    let payload = parse(OutputType::Triage, told).unwrap();
    let command = Command::AddOutput(Box::new(NewOutput { payload }));
    let decided = AiTask::decide(Some(&a_task(Status::Queued).state()), command, &context());
    let event = decided.unwrap().pop().unwrap();
    let open = event.payload().unwrap();
    assert!(
        !open.contains("mass effect")
            && open.contains(r#""payload":{"triage_score":1.0,"flags":[]}"#),
        "{open}"
    );
    let sealed = event.phi().unwrap().unwrap().into_inner();
    assert_eq!(
        serde_json::from_slice::<Value>(&sealed).unwrap(),
        json!({ "further": { "remark": "mass effect" } })
    );
    assert!(!format!("{event:?}").contains("mass effect"));
}

#[test]
fn hold_what_their_type_asks_for() {
    for output_type in OutputType::ALL.iter().copied() {
        assert!(
            parse(output_type, plain(output_type)).is_ok(),
            "{output_type}"
        );
    }
    for (output_type, nothing) in [
        (OutputType::Triage, vec!["/triage_score", "/flags"]),
        (OutputType::Quality, vec!["/score"]),
        (OutputType::FindingList, vec!["/findings"]),
        (OutputType::Bbox, vec!["/boxes"]),
        (OutputType::Segmentation, vec!["/reference"]),
        (OutputType::SuggestedReport, vec![]),
        (OutputType::Comparison, vec!["/summary"]),
    ] {
        assert_eq!(validate(output_type, json!({})), nothing, "{output_type}");
    }
}

type Case = (OutputType, Value, Vec<&'static str>);

fn all_wrong(cases: Vec<Case>) {
    for (output_type, payload, pointers) in cases {
        assert_eq!(validate(output_type, payload), pointers, "{output_type}");
    }
}

#[test]
fn scores_and_flags_are_checked_one_by_one() {
    use OutputType::{Quality, Triage};
    let triage = |score: Value, flags: Value| json!({ "triage_score": score, "flags": flags });
    let long = json!(["x".repeat(257)]);
    all_wrong(vec![
        (
            Triage,
            triage(json!(1.01), json!([])),
            vec!["/triage_score"],
        ),
        (
            Triage,
            triage(json!("0.9"), json!("ICH")),
            vec!["/triage_score", "/flags"],
        ),
        (
            Triage,
            triage(json!(-0.1), json!(["a", "", 1])),
            vec!["/triage_score", "/flags/1", "/flags/2"],
        ),
        (Triage, triage(json!(0), long), vec!["/flags/0"]),
        (
            Triage,
            triage(json!(0), json!(vec!["x"; 101])),
            vec!["/flags"],
        ),
        (
            Quality,
            json!({ "score": null, "issues": [" "] }),
            vec!["/score", "/issues/0"],
        ),
    ]);
}

#[test]
fn findings_and_boxes_are_checked_one_by_one() {
    use OutputType::{Bbox, FindingList};
    let finding = |value: Value| json!({ "findings": [{ "label": "a", "confidence": 1 }, value] });
    let strange = json!({ "label": "b", "confidence": 2, "code": 1, "location": 3 });
    let flat = json!({ "x": "1", "y": 1, "width": 0, "height": -1, "label": "a" });
    let nowhere = json!({ "x": 1, "y": 1, "width": 1, "height": 1, "label": "a", "confidence": 7,
        "series_instance_uid": "1..2", "sop_instance_uid": "1.2" });
    let strange_at = vec![
        "/findings/1/confidence",
        "/findings/1/code",
        "/findings/1/location",
    ];
    all_wrong(vec![
        (
            FindingList,
            finding(json!({})),
            vec!["/findings/1/label", "/findings/1/confidence"],
        ),
        (FindingList, finding(json!("nodule")), vec!["/findings/1"]),
        (FindingList, finding(strange), strange_at),
        (
            Bbox,
            json!({ "boxes": [flat] }),
            vec!["/boxes/0/x", "/boxes/0/width", "/boxes/0/height"],
        ),
        (
            Bbox,
            json!({ "boxes": [nowhere] }),
            vec!["/boxes/0/confidence", "/boxes/0/series_instance_uid"],
        ),
    ]);
}

#[test]
fn texts_say_something_and_uids_are_uids() {
    use OutputType::{Comparison, Segmentation, SuggestedReport};
    let prior = json!({ "summary": "x", "prior_study_instance_uid": "abc" });
    let report = json!({ "findings": 1, "impression": "x\0" });
    all_wrong(vec![
        (Segmentation, json!({ "reference": "" }), vec!["/reference"]),
        (SuggestedReport, report, vec!["/findings", "/impression"]),
        (Comparison, prior, vec!["/prior_study_instance_uid"]),
    ]);
}

#[test]
fn take_further_members_but_no_nul_and_no_text_past_its_limit() {
    let with =
        |value: Value| json!({ "summary": "x", "prior_study_instance_uid": null, "vendor": value });
    assert!(
        parse(
            OutputType::Comparison,
            with(json!({ "a": [1, { "b": null }] }))
        )
        .is_ok()
    );
    for bad in [
        json!("a\0"),
        json!([{ "a\0": 1 }]),
        json!({ "a": ["b", { "c": "\0" }] }),
        json!("x".repeat(MAX_TEXT_BYTES + 1)),
    ] {
        assert_eq!(validate(OutputType::Comparison, with(bad)), [""]);
    }
    let located =
        json!({ "findings": [{ "label": "a", "confidence": 1, "location": { "lobe": "a\0" } }] });
    assert_eq!(validate(OutputType::FindingList, located), ["/findings"]);
}

#[test]
fn fit_into_an_event() {
    let chunk = "x".repeat(1000);
    let of = |chunks: usize| json!({ "summary": "x", "chunks": vec![&chunk; chunks] });
    assert!(parse(OutputType::Comparison, of(257)).is_ok());
    const { assert!(257 * 1000 < MAX_PAYLOAD_BYTES && MAX_PAYLOAD_BYTES < 259 * 1000) };
    assert_eq!(validate(OutputType::Comparison, of(259)), [""]);
}
