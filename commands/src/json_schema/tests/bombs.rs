//! Schemas of at most 64 KiB that would take gigabytes or minutes: each is rejected, or is cheap. The allocator counts
//! memory, and steps count time; no test depends on a clock.

mod patterns;
mod structures;

use super::*;
use crate::ALLOCATED;

/// Maximum peak memory of compiling a schema, in bytes (8 MiB).
const MOST_TO_COMPILE: usize = 8 << 20;
/// Maximum peak memory of an evaluation, in bytes (24 MiB).
const MOST_TO_EVALUATE: usize = 24 << 20;
/// Maximum size of a schema and of a report's data according to the API contract, in bytes (64 KiB).
const MOST_TEXT: usize = 64 << 10;

struct Bomb {
    name: &'static str,
    schema: Value,
    /// Data that make the evaluation expensive.
    data: Vec<Value>,
}

fn bomb(name: &'static str, schema: Value, data: impl IntoIterator<Item = Value>) -> Bomb {
    let data = data.into_iter().collect();
    Bomb { name, schema, data }
}

/// Builds as many values as fit into a schema.
fn many(each: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut room = MOST_TEXT - 200;
    let fits = |value: &Value| {
        let taken = value.to_string().len() + 1;
        let fits = taken <= room;
        room -= taken.min(room);
        fits
    };
    (0..).map(each).take_while(fits).collect()
}

fn many_named(name: impl Fn(usize) -> String, each: impl Fn(usize) -> Value) -> Value {
    let mut room = MOST_TEXT - 200;
    let named = (0..)
        .map(|n| (name(n), each(n)))
        .take_while(|(name, value)| {
            let taken = name.len() + value.to_string().len() + 4;
            let fits = taken <= room;
            room -= taken.min(room);
            fits
        });
    named.collect::<Map<String, Value>>().into()
}

/// Nests schemas to the given depth.
fn nested(depth: usize, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({ "type": "object" }), |inner, _| around(inner))
}

/// Builds schemas with two references each to the next one, to the given depth.
fn doubled(depth: usize, around: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for level in 0..depth {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        definitions.insert(format!("d{level}"), around(next));
    }
    definitions.insert(format!("d{depth}"), json!({ "type": "object" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

fn evaluations() -> Vec<Bomb> {
    let long = "n".repeat(30_000);
    let objects: Vec<Value> = (0..5_000).map(|n| json!({ "a": n })).collect();
    vec![
        bomb(
            "unique objects",
            json!({ "uniqueItems": true }),
            [json!(objects)],
        ),
        bomb(
            "unique lists within lists",
            json!({ "allOf": vec![json!({ "uniqueItems": true }); 900] }),
            [json!(objects)],
        ),
        bomb(
            "contains nothing",
            json!({ "contains": { "required": ["b"] }, "maxContains": 3 }),
            [json!(objects)],
        ),
        bomb(
            "every schema for every value",
            json!({ "items": { "allOf": vec![json!({ "minimum": 1 }); 1_900] } }),
            [json!(vec![json!(0); 30_000])],
        ),
        bomb(
            "every value wrong",
            json!({ "items": { "type": "string", "minimum": 1, "maximum": 0 } }),
            [json!(vec![json!(0); 30_000])],
        ),
        bomb(
            "every value wrong under a long name",
            json!({ "properties": { long.clone(): { "items": { "type": "string" } } } }),
            [json!({ long: vec![json!(0); 15_000] })],
        ),
        bomb(
            "required of every item",
            json!({ "items": { "required": (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>() } }),
            [json!(vec![json!({}); 20_000])],
        ),
        bomb(
            "properties that no item has",
            json!({ "items": { "properties": many_named(|n| n.to_string(), |_| json!({})) } }),
            [json!(vec![json!({}); 20_000])],
        ),
        bomb(
            "names held against a schema of names",
            json!({ "propertyNames": { "allOf": vec![json!({ "maxLength": 2 }); 1_900] } }),
            [many_named(|n| n.to_string(), |_| json!(1))],
        ),
        bomb(
            "branches whose errors are all kept",
            doubled(11, |next| json!({ "anyOf": [next, next] })),
            [json!(1), json!(vec![json!(1); 30_000])],
        ),
    ]
}

/// Returns the result, the peak of additional memory, and the memory that is still allocated afterwards.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let made = work();
    let peak = ALLOCATED.peak_usage().saturating_sub(before);
    (made, peak, ALLOCATED.current_usage().saturating_sub(before))
}

fn goes_off(bombs: Vec<Bomb>) {
    // Global caches of the validator must not count for the first test case.
    validate(&head(), &json!({})).unwrap_err();
    let mut broken = Vec::new();
    for Bomb { name, schema, data } in bombs {
        let text = schema.to_string().len();
        assert!(text <= MOST_TEXT, "{name} is no schema of 64 KiB");
        let parsed = parsed(&schema);
        let (made, peak, kept) = measured(|| Compiled::new(schema.clone()));
        println!("{name}: {peak} bytes to compile");
        if peak > MOST_TO_COMPILE {
            broken.push(name);
        }
        let Ok(made) = made.inspect_err(|wrong| println!("    {}", wrong[0].detail)) else {
            continue;
        };
        for data in &data {
            let (verdict, peak, more) = measured(|| made.validate(&parsed, data));
            let said = verdict.err().map(|wrong| wrong[0].detail.clone());
            println!(
                "    {:?}: {said:?}, {peak} bytes, {more} kept",
                made.effort(data)
            );
            if peak > MOST_TO_EVALUATE {
                broken.push(name);
            }
        }
        println!("    {kept} kept, weighed {}", made.weight);
        if kept > made.weight {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn patterns_take_little() {
    goes_off(patterns::numbers_and_repetitions());
    goes_off(patterns::classes_and_groups());
}

#[test]
fn structures_take_little() {
    goes_off(structures::shapes());
    goes_off(structures::contents());
}

#[test]
fn evaluations_take_little() {
    goes_off(evaluations());
}
