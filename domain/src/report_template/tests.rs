use serde_json::{Value, json};

use super::*;
use crate::catalog::tests::{assert_is_entry, create, created, update, updated};
use crate::catalog::{Command, Error};
use crate::codes::{InvalidSectionCode, SectionCode};
use crate::given_when_then::given;
use crate::json::Json;
use crate::text::{MAX_TEXT_BYTES, TextError};

fn ct_head() -> ReportTemplate {
    ReportTemplate {
        code: TemplateCode::parse("CT_HEAD_STANDARD").unwrap(),
        name: Text::parse("CT head").unwrap(),
        modality_code: ModalityCode::parse("CT").ok(),
        body_part: BodyPart::parse("Head").ok(),
        description: None,
        template_type: TemplateType::FreeText,
        schema: None,
        default_text: None,
        is_active: true,
    }
}

fn schema() -> Schema {
    Schema::parse(&Json::from_serializable(&json!({ "type": "object" })).unwrap()).unwrap()
}

fn default_text(value: &Value) -> Result<DefaultText, DefaultTextError> {
    DefaultText::parse(&Json::from_serializable(value).unwrap())
}

fn change<S, D>(change: impl FnOnce(&mut Changes<S, D>)) -> Changes<S, D> {
    let mut changes = Changes::default();
    change(&mut changes);
    changes
}

#[test]
fn is_an_entry_of_the_catalog() {
    let retired = change(|update| update.is_active = Some(false));
    let recorded = change(|changes| changes.is_active = Some(false));
    assert_is_entry(&ct_head(), &retired, recorded);
}

#[test]
fn structured_and_hybrid_ones_need_a_schema() {
    for template_type in [TemplateType::Structured, TemplateType::Hybrid] {
        let bare = ReportTemplate {
            template_type,
            ..ct_head()
        };
        given::<ReportTemplate>([])
            .when(create(&bare))
            .refused(Error::Invalid(Invalid::SchemaMissing));
        let becomes = change(|changes| changes.template_type = Some(template_type));
        given::<ReportTemplate>([created(&ct_head())])
            .when(update(becomes))
            .refused(Error::Invalid(Invalid::SchemaMissing));
        let whole = ReportTemplate {
            schema: Some(schema()),
            ..bare
        };
        given::<ReportTemplate>([])
            .when(create(&whole))
            .then([created(&whole)]);
    }
}

#[test]
fn fits_where_modality_and_body_part_are_the_same_or_not_said() {
    let ct = ModalityCode::parse("CT").unwrap();
    let mr = ModalityCode::parse("MR").unwrap();
    let head = BodyPart::parse("HEAD").unwrap();
    let chest = BodyPart::parse("CHEST").unwrap();
    let template = ct_head();
    assert!(template.applies_to(Some(&ct), Some(&head)));
    assert!(template.applies_to(None, None));
    assert!(!template.applies_to(Some(&mr), Some(&head)));
    assert!(!template.applies_to(Some(&ct), Some(&chest)));
    let any = ReportTemplate {
        modality_code: None,
        body_part: None,
        ..template
    };
    assert!(any.applies_to(Some(&mr), Some(&chest)));
}

/// `eq_ignore_ascii_case` treats these as different, because of non-ASCII letters and padding.
#[test]
fn fits_a_body_part_in_any_case_and_with_any_padding() {
    let skull = ReportTemplate {
        body_part: BodyPart::parse("schädel").ok(),
        ..ct_head()
    };
    let padded: BodyPart = serde_json::from_str("\"SCHÄDEL \"").unwrap();
    assert!(skull.applies_to(None, Some(&padded)));
}

#[test]
fn only_a_structured_report_has_to_satisfy_the_schema() {
    let template = ReportTemplate {
        schema: Some(schema()),
        ..ct_head()
    };
    assert_eq!(template.enforced_schema(), None);
    let hybrid = ReportTemplate {
        template_type: TemplateType::Hybrid,
        ..template
    };
    assert_eq!(hybrid.enforced_schema(), Some(&schema()));
}

#[test]
fn default_text_is_the_findings_or_texts_by_section() {
    let text = |text: &str| Text::parse(text).unwrap();
    assert_eq!(
        default_text(&json!("No bleed.")),
        Ok(DefaultText::Findings(text("No bleed.")))
    );
    let sections = default_text(&json!({"Findings": "No bleed.", "ventricles": " "}));
    let expected = [
        (SectionCode::FINDINGS, Some(text("No bleed."))),
        (SectionCode::parse("ventricles").unwrap(), None),
    ];
    assert_eq!(
        sections,
        Ok(DefaultText::BySection(expected.into_iter().collect()))
    );
    for (bad, why) in [
        (json!(1), DefaultTextError::WrongType),
        (json!({"findings": 1}), DefaultTextError::WrongType),
        (
            json!({"a b": "x"}),
            DefaultTextError::Section(InvalidSectionCode),
        ),
        (json!("\0"), DefaultTextError::Text(TextError::Nul)),
        (json!({"a": "\0"}), DefaultTextError::Text(TextError::Nul)),
    ] {
        assert_eq!(default_text(&bad), Err(why), "{bad}");
    }
}

#[test]
fn schemas_are_bounded() {
    let long = json!({ "title": "x".repeat(MAX_TEXT_BYTES) });
    let refused = Schema::parse(&Json::from_serializable(&long).unwrap());
    assert_eq!(refused, Err(JsonLimitError::TooLong(MAX_TEXT_BYTES)));
}

fn patch(schema: Option<&Value>, default_text: Option<&Value>) -> Command<ReportTemplate> {
    let json = |value: &Value| Json::from_serializable(value).unwrap();
    let schema = schema.map(|value| SchemaPatch::parse(&json(value)).unwrap());
    let default_text = default_text.map(|value| DefaultTextPatch::parse(&json(value)).unwrap());
    update(change(|asked: &mut Update| {
        asked.schema = schema.into();
        asked.default_text = default_text.into();
    }))
}

fn with_words() -> ReportTemplate {
    let words = default_text(&json!({ "findings": "No bleed.", "aorta": "", "liver": "x" }));
    ReportTemplate {
        schema: Some(schema()),
        default_text: words.ok(),
        ..ct_head()
    }
}

#[test]
fn a_schema_and_words_by_section_change_member_by_member() {
    let words = json!({ "liver": null, "aorta": "wide", "spleen": " " });
    let whole =
        default_text(&json!({ "findings": "No bleed.", "aorta": "wide", "spleen": null })).unwrap();
    given::<ReportTemplate>([created(&with_words())])
        .when(patch(None, Some(&words)))
        .then([updated(
            &with_words(),
            change(|changes: &mut Changes| {
                changes.default_text = Change::Set(whole);
            }),
        )]);
    let narrowed = json!({ "required": ["a"], "title": null });
    let whole = json!({ "type": "object", "required": ["a"] });
    let whole = Schema::parse(&Json::from_serializable(&whole).unwrap()).unwrap();
    given::<ReportTemplate>([created(&with_words())])
        .when(patch(Some(&narrowed), None))
        .then([updated(
            &with_words(),
            change(|changes: &mut Changes| {
                changes.schema = Change::Set(whole);
            }),
        )]);
    given::<ReportTemplate>([created(&with_words())])
        .when(patch(Some(&json!({})), Some(&json!({}))))
        .then([]);
}

#[test]
fn words_by_section_take_the_place_of_findings() {
    let before = ReportTemplate {
        default_text: default_text(&json!("No bleed.")).ok(),
        ..ct_head()
    };
    let whole = default_text(&json!({ "aorta": "wide" })).unwrap();
    given::<ReportTemplate>([created(&before)])
        .when(patch(
            None,
            Some(&json!({ "aorta": "wide", "liver": null })),
        ))
        .then([updated(
            &with_words(),
            change(|changes: &mut Changes| {
                changes.default_text = Change::Set(whole);
            }),
        )]);
}

#[test]
fn what_a_change_leads_to_is_bounded() {
    let long = json!({ "title": "x".repeat(MAX_TEXT_BYTES / 2) });
    let more = json!({ "description": "x".repeat(MAX_TEXT_BYTES / 2) });
    let before = ReportTemplate {
        schema: Schema::parse(&Json::from_serializable(&long).unwrap()).ok(),
        ..ct_head()
    };
    given::<ReportTemplate>([created(&before)])
        .when(patch(Some(&more), None))
        .refused(Error::Invalid(Invalid::Schema(JsonLimitError::TooLong(
            MAX_TEXT_BYTES,
        ))));
    let sections = |from: usize| {
        let names = (from..from + 40).map(|number| (format!("s{number}"), json!("x")));
        Value::Object(names.collect())
    };
    let before = ReportTemplate {
        default_text: default_text(&sections(0)).ok(),
        ..ct_head()
    };
    given::<ReportTemplate>([created(&before)])
        .when(patch(None, Some(&sections(40))))
        .refused(Error::Invalid(Invalid::DefaultText(
            DefaultTextError::TooMany,
        )));
}
