//! Templates' JSON Schemas (draft 2020-12): which are taken, and what satisfies them.
//!
//! A schema is written by a person and evaluated by us, so it is bounded before it is compiled: it points nowhere but
//! into itself, it does not contain itself, and what it unfolds to is limited (`bounds`). Patterns run in time linear
//! in the text. What a refusal says is the schema's words and never the data's.

mod bounds;
mod named;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use lru::LruCache;
use roentgen_domain::phi::Phi;
use roentgen_domain::report_template::Schema;
use roentgen_store::chain::{Digest, sha256};
use serde_json::Value;

use crate::error::Violation;

/// How many compiled schemas are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The most violations that a refusal names.
const MOST_NAMED: usize = 50;
/// The most memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

static COMPILED: OnceLock<Mutex<LruCache<Digest, Arc<Validator>>>> = OnceLock::new();

/// Refuses what is no schema, or none that we evaluate.
pub fn check(schema: &Schema) -> Result<(), Vec<Violation>> {
    let whole = Value::Object(schema.as_object().clone());
    bounds::check(&whole).map_err(|it| vec![it])?;
    let meta = jsonschema::draft202012::meta::validator();
    let wrong = meta.iter_errors(&whole).take(MOST_NAMED);
    let wrong: Vec<_> = wrong
        .map(|error| violation("/schema", &error.instance_path().to_string(), &error))
        .collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    compiled(&whole).map(drop).map_err(|it| vec![it])
}

/// Refuses data that do not satisfy the schema, with where they do not.
pub fn satisfied(schema: &Schema, data: &Value) -> Result<(), Vec<Violation>> {
    let whole = Value::Object(schema.as_object().clone());
    let validator = compiled(&whole).map_err(|it| vec![it])?;
    let wrong = validator.iter_errors(data).take(MOST_NAMED);
    let wrong = wrong.map(|error| {
        let place = named::named_part(&whole, data, &error.instance_path().to_string());
        violation("/structured_data", &place, &error)
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The schema, ready to be evaluated: from what is kept, or compiled.
fn compiled(schema: &Value) -> Result<Arc<Validator>, Violation> {
    let key = sha256(schema.to_string().as_bytes());
    let kept = COMPILED.get_or_init(|| Mutex::new(LruCache::new(KEPT)));
    let found = kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .cloned();
    if let Some(validator) = found {
        return Ok(validator);
    }
    let validator = compile(schema).map(Arc::new)?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.put(key, Arc::clone(&validator));
    Ok(validator)
}

fn compile(schema: &Value) -> Result<Validator, Violation> {
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns);
    options.build(schema).map_err(|error| Violation {
        pointer: Phi::new(format!("/schema{}", error.instance_path())),
        detail: "is not a schema that can be evaluated".to_owned(),
    })
}

/// Where and which keyword, without the data's words.
fn violation(root: &str, place: &str, error: &ValidationError<'_>) -> Violation {
    let detail = if let ValidationErrorKind::Required {
        property: Value::String(name),
    } = error.kind()
    {
        format!("needs the member {name}")
    } else {
        format!("does not satisfy the keyword {}", error.kind().keyword())
    };
    Violation {
        pointer: Phi::new(format!("{root}{place}")),
        detail,
    }
}

#[cfg(test)]
mod tests;
