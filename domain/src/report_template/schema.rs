//! The shape that a report's structured data must have in the end.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{self, Json, JsonLimitError};
use crate::text::MAX_TEXT_BYTES;

/// A JSON Schema (draft 2020-12): an object of at most 64 KiB without NUL. Whether it is a valid schema is for a
/// validator to say, outside of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(Map<String, Value>);

impl Schema {
    /// Takes an object of at most 64 KiB of JSON.
    ///
    /// # Errors
    /// [`JsonLimitError`] says what is wrong with it.
    pub fn parse(object: &Json) -> Result<Self, JsonLimitError> {
        let kept = json::kept_object(object, MAX_TEXT_BYTES)?;
        kept.read()
            .map(Self)
            .map_err(|_| JsonLimitError::NotAnObject)
    }

    /// What it takes in memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.values().map(json::memory_of).sum()
    }

    /// The schema itself.
    pub const fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// A merge patch (RFC 7396) of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaPatch(Json);

impl SchemaPatch {
    /// Takes an object of at most 64 KiB of JSON.
    ///
    /// # Errors
    /// [`JsonLimitError`] says what is wrong with it.
    pub fn parse(object: &Json) -> Result<Self, JsonLimitError> {
        json::kept_object(object, MAX_TEXT_BYTES).map(Self)
    }

    /// The whole schema, with what the template has already where the patch says nothing.
    ///
    /// # Errors
    /// [`JsonLimitError`] says why the result cannot be kept.
    pub fn laid_over(&self, before: Option<&Schema>) -> Result<Schema, JsonLimitError> {
        let before = before.map(Json::from_serializable).transpose();
        let before = before.map_err(|_| JsonLimitError::NotAnObject)?;
        Schema::parse(&json::merge_patch(before.as_ref(), &self.0)?)
    }
}
