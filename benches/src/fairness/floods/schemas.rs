//! Templates whose schemas have many patterns, each as expensive to compile as allowed, and no two the same.

use serde_json::json;

use crate::fairness::flood::{Asked, Caller};

const CALLERS: u64 = 4;
/// Number of patterns that fit into the 64 KiB of a schema.
const PATTERNS: u64 = 1_300;

pub(super) fn callers() -> Vec<Caller> {
    (0..CALLERS).map(caller).collect()
}

fn caller(caller: u64) -> Caller {
    let mut number = caller;
    Box::new(move |_| {
        number += CALLERS;
        let first = number * PATTERNS;
        let patterns = (first..first + PATTERNS).map(|n| format!("(a{{90}}){{110}}{n}"));
        let patterns: Vec<_> = patterns
            .map(|pattern| json!({ "pattern": pattern }))
            .collect();
        let template = json!({
            "code": format!("BOMB{number}"), "name": "Bomb", "template_type": "structured",
            "schema": { "anyOf": patterns },
        });
        Asked::with("POST", "/radiology/templates", template.to_string())
    })
}
