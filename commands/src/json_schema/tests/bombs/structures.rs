//! Schemas that are deep, wide, large or expanding.

use super::*;

/// Maximum nesting of schemas that also need an array per level: a client's JSON is at most 120 levels deep.
const DEEPEST: usize = 59;

pub(super) fn shapes() -> Vec<Bomb> {
    vec![
        bomb(
            "a deep allOf",
            nested(DEEPEST, |inner| json!({ "allOf": [inner] })),
            [json!({})],
        ),
        bomb(
            "a deep anyOf",
            nested(DEEPEST, |inner| json!({ "anyOf": [inner, false] })),
            [json!(1)],
        ),
        bomb(
            "a deep oneOf",
            nested(DEEPEST, |inner| json!({ "oneOf": [inner, false] })),
            [json!(1)],
        ),
        bomb(
            "a wide allOf",
            json!({ "allOf": many(|_| json!({})) }),
            [json!(1)],
        ),
        bomb(
            "a wide oneOf",
            json!({ "oneOf": many(|_| json!({})) }),
            [json!(1)],
        ),
        bomb(
            "references that double",
            doubled(40, |next| json!({ "allOf": [next, next] })),
            [],
        ),
        bomb(
            "3,900 schemas",
            json!({ "allOf": vec![json!({ "not": {} }); 1_950] }),
            [json!(1)],
        ),
        bomb(
            "properties with an id",
            json!({ "$id": format!("https://example.org/{}", "i".repeat(20_000)),
                "allOf": vec![json!({ "minimum": 1 }); 1_900] }),
            [json!(0)],
        ),
    ]
}

pub(super) fn contents() -> Vec<Bomb> {
    let long = "n".repeat(30_000);
    vec![
        bomb(
            "a long name over many schemas",
            json!({ "properties": { long.clone(): { "allOf": vec![json!({}); 9_000] } } }),
            [],
        ),
        bomb(
            "a long name over many mistakes",
            json!({ "properties": { long.clone(): { "required": vec![json!(1); 11_000] } } }),
            [],
        ),
        bomb(
            "many mistakes",
            json!({ "required": many(|_| json!(1)) }),
            [],
        ),
        bomb(
            "many mistakes within 12,000",
            json!({ "required": vec![json!(1); 11_990] }),
            [],
        ),
        bomb(
            "many types that are none",
            json!({ "type": vec![json!(1); 11_990] }),
            [],
        ),
        bomb(
            "an enum of 10,000",
            json!({ "items": { "enum": (0..10_000).collect::<Vec<_>>() } }),
            [json!(vec![json!(-1); 30_000])],
        ),
        bomb(
            "an enum of objects",
            json!({ "items": { "enum": (0..3_000).map(|n| json!({ "a": n })).collect::<Vec<_>>() } }),
            [json!(vec![json!({}); 20_000])],
        ),
        bomb(
            "an enum of more objects",
            json!({ "enum": (0..5_000).map(|n| json!({ "a": n })).collect::<Vec<_>>() }),
            [],
        ),
        bomb(
            "what was not evaluated, within itself",
            nested(
                DEEPEST,
                |inner| json!({ "unevaluatedProperties": false, "allOf": [inner] }),
            ),
            [json!({ "a": 1 })],
        ),
        bomb(
            "what was not evaluated, of many conditions",
            json!({ "unevaluatedProperties": false, "allOf": (0..100)
                .map(|n| json!({ "if": { "required": [format!("p{n}")] },
                    "then": { "properties": { "a": true } } })).collect::<Vec<_>>() }),
            [many_named(|n| format!("p{n}"), |_| json!(1))],
        ),
        bomb(
            "dependencies that double",
            doubled(
                40,
                |next| json!({ "dependencies": { "a": next, "b": next } }),
            ),
            [json!({ "a": 1, "b": 1 })],
        ),
    ]
}
