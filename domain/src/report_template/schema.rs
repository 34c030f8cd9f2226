//! JSON Schema for the structured data of final reports.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json::{self, Json, JsonLimitError};
use crate::text::MAX_TEXT_BYTES;

/// JSON Schema (draft 2020-12): an object of at most 64 KiB without NUL. Whether the schema is valid is checked by a
/// validator outside the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema(Map<String, Value>);

impl Schema {
    /// Parses an object of at most 64 KiB of JSON.
    ///
    /// # Errors
    /// [`JsonLimitError`] if the object cannot be stored.
    pub fn parse(object: &Json) -> Result<Self, JsonLimitError> {
        let kept = json::kept_object(object, MAX_TEXT_BYTES)?;
        kept.read()
            .map(Self)
            .map_err(|_| JsonLimitError::NotAnObject)
    }

    /// Returns the memory size in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.values().map(json::memory_of).sum()
    }

    /// Returns the schema as a JSON object.
    pub const fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Merge patch (RFC 7396) of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaPatch(Json);

impl SchemaPatch {
    /// Parses an object of at most 64 KiB of JSON.
    ///
    /// # Errors
    /// [`JsonLimitError`] if the object cannot be stored.
    pub fn parse(object: &Json) -> Result<Self, JsonLimitError> {
        json::kept_object(object, MAX_TEXT_BYTES).map(Self)
    }

    /// Returns the complete schema: the template's existing schema with the patch merged into it.
    ///
    /// # Errors
    /// [`JsonLimitError`] if the result cannot be stored.
    pub fn laid_over(&self, before: Option<&Schema>) -> Result<Schema, JsonLimitError> {
        let before = before.map(Json::from_serializable).transpose();
        let before = before.map_err(|_| JsonLimitError::NotAnObject)?;
        Schema::parse(&json::merge_patch(before.as_ref(), &self.0)?)
    }
}
