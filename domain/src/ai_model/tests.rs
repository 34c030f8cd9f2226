use super::*;
use crate::auth_kind::AuthKind;
use crate::catalog::Error;
use crate::catalog::tests::{assert_is_entry, created, update, updated};
use crate::given_when_then::given;
use crate::url::HttpUrl;

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn head_triage() -> AiModel {
    AiModel {
        code: AiModelCode::parse("CT_HEAD_ICH_TRIAGE").unwrap(),
        name: text("Intracranial haemorrhage"),
        description: None,
        modality_code: ModalityCode::parse("CT").ok(),
        body_part: BodyPart::parse("Head").ok(),
        capabilities: Capabilities::new([
            (TaskType::Triage, true),
            (TaskType::Quality, false),
            (TaskType::Segmentation, true),
        ]),
        vendor: None,
        model_version: Some(text("2.1")),
        endpoint_config: None,
        is_active: true,
    }
}

fn retired<C, E>() -> Changes<C, E> {
    Changes {
        is_active: Some(false),
        ..Changes::default()
    }
}

#[test]
fn is_an_entry_of_the_catalog() {
    assert_is_entry(&head_triage(), &retired(), retired());
}

/// The state and the event contain the secret id, which inference requests need; the resource does not show it.
#[test]
fn where_the_secret_lies_is_no_part_of_the_resource() {
    let auth = EndpointAuth {
        kind: AuthKind::Bearer,
        secret_id: Some(uuid::Uuid::from_u128(41).into()),
    };
    let config = EndpointConfig {
        url: HttpUrl::parse("https://ai.example").unwrap(),
        auth: Some(auth),
        timeout_ms: None,
        max_attempts: None,
    };
    let model = AiModel {
        endpoint_config: Some(config),
        ..head_triage()
    };
    let state = given::<AiModel>([created(&model)]).state();
    assert_eq!(state, model);
    let shown = serde_json::to_value(&state).unwrap();
    let expected = serde_json::json!({ "url": "https://ai.example", "auth": { "kind": "bearer" } });
    assert_eq!(shown["endpoint_config"], expected);
}

/// A member that is absent on either side matches; text is compared case-insensitively.
#[test]
fn matches_images_of_its_modality_and_body_part() {
    let ct = ModalityCode::parse("ct").ok();
    let mr = ModalityCode::parse("MR").ok();
    let head = BodyPart::parse(" HEAD").ok();
    let chest = BodyPart::parse("CHEST").ok();
    let model = head_triage();
    for (modality, body_part, expected) in [
        (&ct, &head, true),
        (&None, &head, true),
        (&ct, &None, true),
        (&None, &None, true),
        (&mr, &head, false),
        (&ct, &chest, false),
        (&mr, &None, false),
    ] {
        assert_eq!(
            model.matches(modality.as_ref(), body_part.as_ref()),
            expected,
            "{modality:?} {body_part:?}"
        );
    }
    let anything = AiModel {
        modality_code: None,
        body_part: None,
        ..head_triage()
    };
    assert!(anything.matches(mr.as_ref(), chest.as_ref()));
}

#[test]
fn can_do_what_it_says_and_nothing_else() {
    let model = head_triage();
    let able: Vec<TaskType> = TaskType::ALL
        .iter()
        .copied()
        .filter(|task_type| model.capabilities.supports(*task_type))
        .collect();
    assert_eq!(able, [TaskType::Triage, TaskType::Segmentation]);
    assert_eq!(
        model.automatic_tasks().collect::<Vec<_>>(),
        [TaskType::Triage],
        "segmentation is asked for by people only"
    );
}

#[test]
fn what_it_cannot_do_is_kept_as_it_was_said() {
    let json = serde_json::to_value(head_triage().capabilities).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "triage": true, "quality": false, "segmentation": true })
    );
}

fn where_it_answers() -> EndpointConfig {
    EndpointConfig {
        url: HttpUrl::parse("https://ai.example").unwrap(),
        auth: Some(EndpointAuth {
            kind: AuthKind::Bearer,
            secret_id: Some(uuid::Uuid::from_u128(41).into()),
        }),
        timeout_ms: TimeoutMs::parse(1000).ok(),
        max_attempts: MaxAttempts::parse(3).ok(),
    }
}

#[test]
fn capabilities_and_the_endpoint_change_member_by_member() {
    let model = AiModel {
        endpoint_config: Some(where_it_answers()),
        ..head_triage()
    };
    let asked = Update {
        capabilities: Some(CapabilitiesPatch::new([
            (TaskType::Quality, None),
            (TaskType::PreReport, Some(true)),
        ])),
        endpoint_config: Change::Set(EndpointPatch {
            timeout_ms: Change::Set(TimeoutMs::parse(2000).unwrap()),
            max_attempts: Change::Clear,
            ..EndpointPatch::default()
        }),
        ..Update::default()
    };
    let changes = Changes {
        capabilities: Some(Capabilities::new([
            (TaskType::Triage, true),
            (TaskType::PreReport, true),
            (TaskType::Segmentation, true),
        ])),
        endpoint_config: Change::Set(EndpointConfig {
            timeout_ms: TimeoutMs::parse(2000).ok(),
            max_attempts: None,
            ..where_it_answers()
        }),
        ..Changes::default()
    };
    given::<AiModel>([created(&model)])
        .when(update(asked))
        .then([updated(&head_triage(), changes)]);
}

#[test]
fn an_endpoint_needs_a_url() {
    let asked = Update {
        endpoint_config: Change::Set(EndpointPatch::default()),
        ..Update::default()
    };
    given::<AiModel>([created(&head_triage())])
        .when(update(asked))
        .refused(Error::Invalid(Invalid::UrlMissing));
}
