//! Patterns that take much memory or time: many, large and slow ones.

use super::*;

fn pattern(pattern: &str) -> Value {
    json!({ "properties": { "a": { "pattern": pattern } } })
}

/// Texts that defeat the fast paths of a regex engine: long, not ASCII, and repetitive.
fn texts() -> Vec<Value> {
    ["a", "\u{e9}", "ab", "a\u{e9} "]
        .map(|text| json!({ "a": text.repeat(60_000 / text.len()) }))
        .into()
}

pub(super) fn numbers_and_repetitions() -> Vec<Bomb> {
    vec![
        bomb(
            "1,300 patterns of 10,000 states",
            json!({ "allOf": many(|n| json!({ "pattern": format!("(a{{90}}){{110}}{n}") })) }),
            [json!("a".repeat(60_000))],
        ),
        bomb(
            "50 patterns of 10,000 states",
            json!({ "allOf": (0..50).map(|n| json!({ "pattern": format!("(a{{90}}){{110}}{n}") }))
                .collect::<Vec<_>>() }),
            [],
        ),
        bomb("one large repetition", pattern("^a{0,20000}$"), texts()),
        bomb(
            "an endless repetition",
            pattern("(a{4000000000}){4000000000}"),
            [],
        ),
        bomb(
            "repetitions in repetitions",
            pattern("(((a{100}){100}){100}){100}"),
            [],
        ),
        bomb(
            "repetitions of nothing",
            pattern("((){1000}){1000000}"),
            texts(),
        ),
        bomb("letters of all scripts", pattern(r"^\p{L}{500}"), texts()),
        bomb(
            "a few letters of all scripts",
            pattern(r"\p{L}{0,30}b"),
            texts(),
        ),
    ]
}

pub(super) fn classes_and_groups() -> Vec<Bomb> {
    let all_different = (0x4e00..0x6000_u32).filter_map(char::from_u32);
    let groups = "(a)".repeat(1_000);
    vec![
        bomb("classes of letters", pattern(&r"\pL".repeat(2_600)), []),
        bomb(
            "folded classes",
            pattern(&r"(?i)[\x{0}-\x{10FFFF}]".repeat(300)),
            [],
        ),
        bomb(
            "an alternation of all there is",
            pattern(
                &all_different
                    .map(|sign| format!("{sign}a|"))
                    .collect::<String>(),
            ),
            texts(),
        ),
        bomb(
            "many groups, many times",
            pattern(&format!("({groups}){{5}}")),
            texts(),
        ),
        bomb(
            "a word's end, far off",
            pattern(r"\b([a-z]|\u00e9)*(a|b){9}\b"),
            texts(),
        ),
        bomb(
            "an automaton without choices",
            pattern(&format!(r"^\b(?:{}){{60}}", letters())),
            [],
        ),
        bomb("much to remember", pattern("(a|b)*a(a|b){12}c"), texts()),
        bomb(
            "50 patterns for each name",
            json!({ "patternProperties": (0..50).map(|n| (format!("(a|b)*a(a|b){{8}}c{n}"), json!({})))
                .collect::<Map<_, _>>() }),
            [many_named(
                |n| format!("{n}{}", "ab".repeat(500)),
                |_| json!(1),
            )],
        ),
        bomb(
            "patterns for names, thousands",
            json!({ "patternProperties": many_named(|n| format!("^x{n}"), |_| json!({})) }),
            [many_named(|n| format!("x{n}"), |_| json!(1))],
        ),
    ]
}

fn letters() -> String {
    (33..=90_u8).map(|sign| format!(r"\x{sign:02x}")).collect()
}
