//! A schema, ready to be evaluated.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use roentgen_domain::phi::Phi;
use roentgen_domain::report_template::Schema;
use serde_json::Value;

use super::bounds::{self, SchemaCost};
use super::extent::ValueSize;
use super::named::Names;
use super::patterns::{LAZY_BYTES, MOST_OF_ONE};
use super::plan::{EvaluationCost, Plan};
use crate::error::Violation;

/// The most violations that a refusal names.
const MAX_REPORTED_VIOLATIONS: usize = 50;
/// What the errors of one evaluation may take, in bytes. The validator collects all of them, however few are asked for.
const MOST_ERRORS: u64 = 16 << 20;
/// What an error takes beside the pointer in it, in bytes.
const ERROR_BYTES: u64 = 384;
/// What a compiled schema takes at least, in bytes.
const LEAST_BYTES: usize = 2_048;
/// What it takes for each schema that it unfolds to, in bytes.
const SCHEMA_BYTES: usize = 1_200;
/// How often the validator has the values of a schema that are no schemas.
const COPIES: usize = 3;
/// How often the validator has the pointer to a part.
const POINTERS: usize = 4;

/// A schema that is within the bounds, and compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    validator: Validator,
    plan: Plan,
    /// What it takes in memory, in bytes.
    pub(super) weight: usize,
}

impl Compiled {
    /// Refuses what is no schema, or none that we evaluate.
    pub(super) fn new(mut schema: Value) -> Result<Self, Vec<Violation>> {
        let bounded = bounds::check(&schema).map_err(|violation| vec![violation])?;
        let meta = jsonschema::draft202012::meta::validator();
        if !meta.is_valid(&schema) {
            let wrong = meta.iter_errors(&schema).take(MAX_REPORTED_VIOLATIONS);
            let wrong =
                wrong.map(|error| violation("/schema", &error.instance_path().to_string(), &error));
            return Err(wrong.collect());
        }
        // Nothing refers to it, and the validator would write it before every place that it names.
        if let Value::Object(members) = &mut schema {
            members.remove("$id");
        }
        let validator = build(&schema).map_err(|violation| vec![violation])?;
        Ok(Self {
            validator,
            weight: weight(&schema, &bounded),
            plan: bounded.plan,
        })
    }

    /// What the evaluation of data takes.
    #[cfg(test)]
    pub(super) fn effort(&self, data: &Value) -> Option<EvaluationCost> {
        self.plan.effort(data)
    }

    /// Refuses data that do not satisfy the schema, with where they do not.
    pub(super) fn validate(&self, schema: &Schema, data: &Value) -> Result<(), Vec<Violation>> {
        let Some(effort) = self.plan.effort(data) else {
            return Err(vec![of_all(
                "are too much to be checked against the schema",
            )]);
        };
        if self.validator.is_valid(data) {
            return Ok(());
        }
        if errors_take(&effort, data) > MOST_ERRORS {
            return Err(vec![of_all(
                "do not satisfy the schema, in more ways than can be named",
            )]);
        }
        let names = Names::from_schema(schema.as_object());
        let wrong = self
            .validator
            .iter_errors(data)
            .take(MAX_REPORTED_VIOLATIONS);
        let wrong = wrong.map(|error| {
            let place = names.known_part(data, &error.instance_path().to_string());
            violation("/structured_data", &place, &error)
        });
        Err(wrong.collect())
    }
}

/// What a compiled schema takes, in bytes.
fn weight(schema: &Value, bounded: &SchemaCost) -> usize {
    let schemas = usize::try_from(bounded.schemas).unwrap_or(usize::MAX);
    let said = bounded.bytes * COPIES + ValueSize::measure(schema).pointers * POINTERS;
    let built = schemas.saturating_mul(SCHEMA_BYTES);
    built.saturating_add(said + bounded.patterns.bytes + LEAST_BYTES)
}

/// What the errors of an evaluation take at most, in bytes.
fn errors_take(effort: &EvaluationCost, data: &Value) -> u64 {
    let longest = ValueSize::measure(data).longest as u64;
    effort.errors.saturating_mul(ERROR_BYTES + longest)
}

fn build(schema: &Value) -> Result<Validator, Violation> {
    let patterns = PatternOptions::regex()
        .size_limit(MOST_OF_ONE)
        .dfa_size_limit(LAZY_BYTES);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns);
    options.build(schema).map_err(|error| Violation {
        pointer: Phi::new(format!("/schema{}", error.instance_path())),
        detail: "is not a supported JSON Schema".to_owned(),
    })
}

/// What is wrong with the data as a whole.
fn of_all(detail: &str) -> Violation {
    Violation {
        pointer: Phi::new("/structured_data".to_owned()),
        detail: detail.to_owned(),
    }
}

/// Where and which keyword, without the data's words.
fn violation(root: &str, place: &str, error: &ValidationError<'_>) -> Violation {
    let detail = if let ValidationErrorKind::Required {
        property: Value::String(name),
    } = error.kind()
    {
        format!("missing required property {name}")
    } else {
        format!("violates keyword {}", error.kind().keyword())
    };
    Violation {
        pointer: Phi::new(format!("{root}{place}")),
        detail,
    }
}
