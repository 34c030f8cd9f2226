mod asked;
mod bombs;

use roentgen_domain::json::Json;
use serde_json::{Map, json};

use super::compiled::Compiled;
use super::*;
use crate::error::Violation;

fn compiled(schema: &Value) -> Result<Compiled, Vec<Violation>> {
    Compiled::new(schema.clone())
}

fn parsed(schema: &Value) -> Schema {
    Schema::parse(&Json::from_serializable(schema).unwrap()).unwrap()
}

fn check(schema: &Value) -> Result<(), Vec<Violation>> {
    compiled(schema).map(drop)
}

fn validate(schema: &Value, data: &Value) -> Result<(), Vec<Violation>> {
    compiled(schema)?.validate(&parsed(schema), data)
}

fn pointers(refused: Result<(), Vec<Violation>>) -> Vec<String> {
    let violations = refused.err().unwrap_or_default();
    violations
        .into_iter()
        .map(|violation| violation.pointer.into_inner())
        .collect()
}

fn head() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/head",
        "type": "object",
        "required": ["hemorrhage"],
        "properties": {
            "hemorrhage": {"type": "boolean"},
            "aspects": {"$ref": "#/$defs/aspects"},
            "side": {"enum": ["left", "right"]},
        },
        "additionalProperties": false,
        "$defs": {"aspects": {"type": "integer", "minimum": 0, "maximum": 10}},
    })
}

#[test]
fn says_where_data_do_not_satisfy_a_schema_and_not_what_they_are() {
    assert_eq!(check(&head()), Ok(()));
    assert_eq!(
        validate(&head(), &json!({"hemorrhage": false, "aspects": 8})),
        Ok(())
    );
    let wrong = validate(&head(), &json!({"aspects": 11, "side": "Jane Roe"}));
    let said = format!("{wrong:?}");
    assert!(!said.contains("Jane"), "{said}");
    let mut places = pointers(wrong);
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "/structured_data",
            "/structured_data/aspects",
            "/structured_data/side"
        ]
    );
}

#[test]
fn refuses_what_is_no_schema() {
    for (bad, pointer) in [
        (json!({"type": "flower"}), "/schema/type"),
        (
            json!({"properties": {"a": {"minimum": "x"}}}),
            "/schema/properties/a/minimum",
        ),
        (json!({"required": "a"}), "/schema/required"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "/schema/$schema",
        ),
        (json!({"$ref": "#/$defs/none"}), "/schema/$ref"),
    ] {
        assert_eq!(pointers(check(&bad)), [pointer], "{bad}");
    }
    assert_ne!(pointers(check(&json!({"pattern": "("}))), [""; 0]);
}

#[test]
fn a_schema_points_into_itself_only() {
    for reference in [
        "https://example.org/schema",
        "file:///etc/passwd",
        "other.json",
        "//example.org/x",
        "#anchor",
        "#%2Fa",
    ] {
        let within = json!({"properties": {"a": {"$ref": reference}}});
        assert_eq!(
            pointers(check(&within)),
            ["/schema/properties/a/$ref"],
            "{reference}"
        );
    }
    for keyword in ["$anchor", "$dynamicAnchor", "$dynamicRef"] {
        let named = json!({"items": {keyword: "#a"}});
        let pointer = format!("/schema/items/{keyword}");
        assert_eq!(pointers(check(&named)), [pointer]);
    }
    let rebased = json!({"items": {"$id": "https://example.org/x"}});
    assert_eq!(pointers(check(&rebased)), ["/schema/items/$id"]);
}

#[test]
fn names_that_look_like_keywords_are_names() {
    let named = json!({
        "properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}},
        "const": {"$ref": "https://example.org/x"},
    });
    assert_eq!(check(&named), Ok(()));
}

#[test]
fn a_schema_does_not_contain_itself() {
    for endless in [
        json!({"$ref": "#"}),
        json!({"properties": {"next": {"$ref": "#"}}}),
        json!({"dependencies": {"next": {"$ref": "#"}}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        let refused = pointers(check(&endless));
        assert_eq!(refused.len(), 1, "{endless}");
    }
}

/// A schema of forty lines that would take 10^12 steps.
#[test]
fn a_schema_does_not_unfold_without_end() {
    let twice = |next: String| json!({"allOf": [{"$ref": next.clone()}, {"$ref": next}]});
    let mut definitions = Map::from_iter([("d0".to_owned(), json!({"type": "object"}))]);
    for level in 1..=40 {
        let next = format!("#/$defs/d{}", level - 1);
        definitions.insert(format!("d{level}"), twice(next));
    }
    let bomb = json!({"$ref": "#/$defs/d15", "$defs": definitions});
    assert_eq!(pointers(check(&bomb)).len(), 1);
}

#[test]
fn a_schema_is_not_deeper_than_it_can_be_followed() {
    let mut definitions = Map::from_iter([("d0".to_owned(), json!({"type": "object"}))]);
    for level in 1..=500 {
        let next = format!("#/$defs/d{}", level - 1);
        definitions.insert(format!("d{level}"), json!({"$ref": next}));
    }
    let chain = json!({"$ref": "#/$defs/d500", "$defs": definitions});
    assert_eq!(pointers(check(&chain)).len(), 1);
}

/// Each level would be evaluated again by each enclosing level.
#[test]
fn what_was_not_evaluated_is_not_asked_within_itself() {
    let closed = json!({"unevaluatedProperties": false, "properties": {"a": {"type": "string"}}});
    let twice = json!({"unevaluatedProperties": false, "allOf": [closed]});
    assert_eq!(pointers(check(&twice)), ["/schema"]);
    let by_reference = json!({
        "properties": {"b": {"unevaluatedItems": false, "anyOf": [{"$ref": "#/$defs/closed"}]}},
        "$defs": {"closed": closed},
    });
    assert_eq!(pointers(check(&by_reference)), ["/schema/properties/b"]);
    let apart = json!({"unevaluatedProperties": false, "properties": {"b": closed}});
    assert_eq!(check(&apart), Ok(()), "for another value");
}

#[test]
fn a_schema_consists_of_a_limited_number_of_schemas() {
    let of = |schemas: usize| json!({"anyOf": vec![true; schemas]});
    assert_eq!(check(&of(3_999)), Ok(()));
    assert_eq!(pointers(check(&of(4_000))), ["/schema"]);
}

#[test]
fn patterns_take_no_more_than_linear_time() {
    let evil = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
    assert_eq!(check(&evil), Ok(()));
    let text = "a".repeat(60_000) + "!";
    assert_eq!(
        pointers(validate(&evil, &json!({"a": text}))),
        ["/structured_data/a"]
    );
    let huge = json!({"pattern": "(((a{100}){100}){100}){100}"});
    assert_eq!(pointers(check(&huge)).len(), 1);
}
