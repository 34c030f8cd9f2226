use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonschema::{Draft, Keyword, ValidationError};
use serde_json::json;

use super::super::bounds;
use super::*;

fn plan(schema: &Value) -> Plan {
    bounds::check(schema).unwrap().plan
}

/// Keyword that counts the applications of the schema that contains it.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl<'i> Keyword<'i> for Counting {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// Measures the validator: schema applications until validity is known, applications until all errors are collected,
/// and the number of errors.
fn done(schema: &Value, data: &Value) -> EvaluationCost {
    let counting = Counting::default();
    let factory = counting.clone();
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_keyword("!counting", move |_, _, _| Ok(Box::new(factory.clone())))
        .build(&counted(schema))
        .unwrap();
    let _ = validator.is_valid(data);
    let valid = counting.0.swap(0, Ordering::Relaxed);
    let errors = validator.iter_errors(data).count() as u64;
    let named = counting.0.load(Ordering::Relaxed);
    EvaluationCost {
        valid,
        named,
        errors,
    }
}

/// Adds the counting keyword to every object of the schema. In objects that are not schemas, it has no effect.
fn counted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.clone(), counted(member)));
            let mut members: Map<String, Value> = members.collect();
            let holds_schemas = members.keys().any(|name| name.starts_with("by_name_"));
            if !holds_schemas {
                members.insert("!counting".to_owned(), json!(true));
            }
            members.into()
        }
        Value::Array(items) => items.iter().map(counted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Returns the plan with a cost of one step per schema application, regardless of keywords.
fn applications(mut plan: Plan) -> Plan {
    for node in &mut plan.nodes {
        node.own = 1;
    }
    plan
}

/// Builds schemas that apply others in every supported way, around a valid one or an invalid one.
fn around(inner: &Value) -> Vec<Value> {
    let by_name = json!({ "by_name_a": inner, "by_name_b": inner });
    vec![
        json!({ "allOf": [inner, inner] }),
        json!({ "anyOf": [inner, inner] }),
        json!({ "oneOf": [inner, inner, inner] }),
        json!({ "not": inner }),
        json!({ "if": inner, "then": inner, "else": inner }),
        json!({ "dependentSchemas": by_name }),
        json!({ "dependencies": by_name }),
        json!({ "properties": by_name }),
        json!({ "properties": by_name, "additionalProperties": inner }),
        json!({ "patternProperties": { "by_name_.": inner }, "additionalProperties": inner }),
        json!({ "propertyNames": inner }),
        json!({ "items": inner, "contains": inner, "minContains": 1, "maxContains": 3 }),
        json!({ "prefixItems": [inner, inner], "items": inner }),
        json!({ "unevaluatedItems": inner, "allOf": [{ "prefixItems": [inner] }, inner] }),
        json!({ "unevaluatedItems": inner, "anyOf": [{ "contains": inner }, { "allOf": [inner] }] }),
        json!({ "unevaluatedProperties": inner, "allOf": [{ "properties": by_name }, inner] }),
        json!({ "unevaluatedProperties": inner, "oneOf": [inner, { "anyOf": [inner, inner] }],
            "if": inner, "then": { "properties": by_name }, "else": { "allOf": [inner] } }),
        json!({ "unevaluatedProperties": inner, "dependentSchemas": by_name,
            "if": { "if": inner, "then": inner }, "then": { "if": inner, "else": inner } }),
    ]
}

fn data() -> Vec<Value> {
    let flat = json!({ "by_name_a": 1, "by_name_b": "text", "c": null });
    vec![
        json!(1),
        flat.clone(),
        json!([1, "text", flat, [], {}]),
        json!({ "by_name_a": flat, "by_name_b": [flat, flat], "c": { "by_name_c": [1] } }),
    ]
}

/// The count is an upper bound of the work that the validator does.
#[test]
fn no_evaluation_applies_more_schemas_than_were_counted() {
    let leaves = [json!({}), json!({ "type": "string" }), json!({ "not": {} })];
    let mut checked = 0;
    for leaf in &leaves {
        for inner in &around(leaf) {
            for schema in around(inner).iter().chain([inner]) {
                let Ok(bounded) = bounds::check(schema) else {
                    continue;
                };
                let plan = applications(bounded.plan);
                for data in data() {
                    let effort = plan.effort(&data).unwrap();
                    let done = done(schema, &data);
                    let foreseen = done.valid <= effort.valid
                        && done.named <= effort.named
                        && done.errors <= effort.errors;
                    assert!(foreseen, "{done:?} {effort:?}: {schema} {data}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 3_000, "{checked} evaluations");
    println!("{checked} evaluations");
}

/// Each branch is evaluated separately, and again for each enclosing schema.
#[test]
fn what_was_not_evaluated_counts_every_trial() {
    let branch = |inner: Value, n: usize| json!({ "anyOf": [inner], "properties": { format!("by_name_{n}"): true } });
    let mut schema = (0..12).fold(json!({ "type": "object" }), branch);
    schema["unevaluatedProperties"] = json!(false);
    let done = done(&schema, &json!({}));
    let effort = applications(plan(&schema)).effort(&json!({})).unwrap();
    assert!(done.valid > 24, "{done:?}: more than two trials each");
    assert!(done.valid <= effort.valid, "{done:?} {effort:?}");
}

#[test]
fn count_takes_no_more_steps_than_it_is_given() {
    let plan = plan(&json!({ "items": { "minimum": 1 } }));
    let items = json!(vec![json!(1); 100]);
    let count = |left: u64| Count { plan: &plan, left }.cost_of(0, &items);
    let effort = plan.effort(&items).unwrap();
    assert_eq!(count(effort.valid), Some(effort));
    assert_eq!(count(effort.valid - 1), None);
}

/// The count itself stops at the step limit of an evaluation.
#[test]
fn count_ends_where_the_evaluation_would_be_too_long() {
    let every = plan(&json!({ "items": { "allOf": vec![json!({ "minimum": 1 }); 1_000] } }));
    assert!(every.effort(&json!(vec![json!(1); 100])).is_some());
    assert_eq!(every.effort(&json!(vec![json!(1); 30_000])), None);
    let unique = plan(&json!({ "allOf": vec![json!({ "uniqueItems": true }); 20] }));
    assert!(unique.effort(&json!([1, 2])).is_some());
    assert_eq!(unique.effort(&json!(vec![json!({ "a": 1 }); 5_000])), None);
}

/// A division by `multipleOf` counts as many steps.
#[test]
fn a_division_is_more_than_a_step() {
    let divided = |by: usize| {
        let multiples =
            (1..=by).map(|n| json!({ "not": { "multipleOf": 0.12345678901 + n as f64 } }));
        plan(&json!({ "items": { "allOf": multiples.collect::<Vec<_>>() } }))
    };
    let numbers = |count| json!(vec![json!(1.7e308); count]);
    assert!(divided(20).effort(&numbers(2_000)).is_none());
    assert!(divided(1).effort(&numbers(1_000)).is_some());
}

/// Realistic report data against a large template.
#[test]
fn honest_data_are_far_from_the_limit() {
    let finding = json!({ "properties": {
        "site": { "enum": (0..40).map(|n| format!("site {n}")).collect::<Vec<_>>() },
        "size_mm": { "type": "number", "minimum": 0, "maximum": 500 },
        "code": { "type": "string", "pattern": "^[A-Z]{2,8}-[0-9]{1,6}$" },
        "comment": { "type": "string", "maxLength": 2_000 },
    }, "required": ["site", "size_mm"], "additionalProperties": false });
    let findings = json!({ "type": "array", "items": { "$ref": "#/$defs/finding" } });
    let regions: Map<String, Value> = (0..50)
        .map(|n| (format!("r{n}"), findings.clone()))
        .collect();
    let template = json!({ "properties": regions, "$defs": { "finding": finding } });
    let said =
        json!({ "site": "site 39", "size_mm": 12.5, "code": "CT-1", "comment": "x".repeat(99) });
    let regions: Map<String, Value> = (0..50)
        .map(|n| (format!("r{n}"), json!(vec![said.clone(); 8])))
        .collect();
    let data = json!(regions);
    assert!(data.to_string().len() > 60_000, "as large as data may be");
    let effort = plan(&template).effort(&data).unwrap();
    assert!(effort.valid < MOST_STEPS / 10, "{effort:?}");
}

#[test]
fn long_text_counts_by_the_states_of_its_pattern() {
    let schema = plan(&json!({ "pattern": "(a|b)*a(a|b){60}c" }));
    let short = schema.effort(&json!("ab")).unwrap();
    let long = schema.effort(&json!("ab".repeat(5_000))).unwrap();
    assert!(long.valid > short.valid * 1_000, "{short:?} {long:?}");
    let names = plan(&json!({ "patternProperties": { "(a|b)*a(a|b){60}c": {} } }));
    let name = "ab".repeat(5_000);
    assert!(names.effort(&json!({ name: 1 })).unwrap().valid > short.valid * 1_000);
}
