//! Compiled schema.

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

/// Maximum number of violations in an error.
const MAX_REPORTED_VIOLATIONS: usize = 50;
/// Maximum memory of the errors of one evaluation, in bytes (16 MiB). The validator collects all of them, even if few
/// are requested.
const MOST_ERRORS: u64 = 16 << 20;
/// Memory of an error without its pointer, in bytes.
const ERROR_BYTES: u64 = 384;
/// Minimum memory of a compiled schema, in bytes.
const LEAST_BYTES: usize = 2_048;
/// Memory of a compiled schema per expanded subschema, in bytes.
const SCHEMA_BYTES: usize = 1_200;
/// Number of copies that the validator stores of the values that are not schemas.
const COPIES: usize = 3;
/// Number of copies that the validator stores of the pointer to a subschema.
const POINTERS: usize = 4;

/// Compiled schema that is within the bounds.
#[derive(Debug)]
pub(super) struct Compiled {
    validator: Validator,
    plan: Plan,
    /// Estimated memory, in bytes.
    pub(super) weight: usize,
}

impl Compiled {
    /// Compiles a schema. Rejects a value that is not a schema or not supported.
    pub(super) fn new(mut schema: Value) -> Result<Self, Vec<Violation>> {
        let bounded = bounds::check(&schema).map_err(|violation| vec![violation])?;
        let meta = jsonschema::draft202012::meta::validator();
        if !meta.is_valid(&schema) {
            let wrong = meta.iter_errors(&schema).take(MAX_REPORTED_VIOLATIONS);
            let wrong =
                wrong.map(|error| violation("/schema", &error.instance_path().to_string(), &error));
            return Err(wrong.collect());
        }
        // Nothing refers to `$id`, and the validator would prefix every error location with it.
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

    /// Returns the cost of an evaluation of the data.
    #[cfg(test)]
    pub(super) fn effort(&self, data: &Value) -> Option<EvaluationCost> {
        self.plan.effort(data)
    }

    /// Checks the data against the schema. Returns the violations with their locations.
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

/// Returns the estimated memory of a compiled schema, in bytes.
fn weight(schema: &Value, bounded: &SchemaCost) -> usize {
    let schemas = usize::try_from(bounded.schemas).unwrap_or(usize::MAX);
    let said = bounded.bytes * COPIES + ValueSize::measure(schema).pointers * POINTERS;
    let built = schemas.saturating_mul(SCHEMA_BYTES);
    built.saturating_add(said + bounded.patterns.bytes + LEAST_BYTES)
}

/// Returns the maximum memory of the errors of an evaluation, in bytes.
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

/// Builds a violation that concerns the data as a whole.
fn of_all(detail: &str) -> Violation {
    Violation {
        pointer: Phi::new("/structured_data".to_owned()),
        detail: detail.to_owned(),
    }
}

/// Builds a violation with location and keyword, without values of the data.
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
