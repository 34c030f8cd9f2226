//! What a schema may be, before anything is made of it.
//!
//! A short schema can unfold to a long evaluation: `allOf` of two references to an `allOf` of two references, thirty
//! times over, is a billion steps. And one that contains itself can be followed for ever. Reports need neither. So a
//! schema is walked as it unfolds, references followed, and refused where that is too long, too deep or endless.

use std::collections::BTreeMap;

use roentgen_domain::phi::Phi;
use serde_json::{Map, Value};

use crate::error::Violation;

/// How many schemas it may unfold to.
const MOST_SCHEMAS: u64 = 10_000;
/// How many schemas may stand within one another, references followed.
const DEEPEST: usize = 64;

/// Keywords whose value is a schema.
const OF_ONE: [&str; 12] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
];
/// Keywords whose value is a list of schemas.
const OF_A_LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas by name.
const BY_NAME: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Keywords that make names for schemas, or names whose meaning depends on the way that led there.
const NOT_TAKEN: [&str; 5] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
];
/// What `$schema` may say.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Refuses what is endless, too much, or leads outside.
pub(super) fn check(schema: &Value) -> Result<(), Violation> {
    let mut walk = Walk {
        root: schema,
        path: Vec::new(),
        sizes: BTreeMap::new(),
    };
    let size = walk.size_of("", schema)?;
    if size > MOST_SCHEMAS {
        return Err(refused("", "unfolds to more than 10000 schemas"));
    }
    Ok(())
}

struct Walk<'a> {
    root: &'a Value,
    /// The pointers of the schemas that the walk is within.
    path: Vec<String>,
    /// What each schema unfolds to.
    sizes: BTreeMap<String, u64>,
}

impl Walk<'_> {
    /// How many schemas the one at this pointer unfolds to.
    fn size_of(&mut self, pointer: &str, schema: &Value) -> Result<u64, Violation> {
        let Value::Object(members) = schema else {
            return Ok(1);
        };
        if let Some(size) = self.sizes.get(pointer) {
            return Ok(*size);
        }
        if self.path.iter().any(|it| it == pointer) {
            return Err(refused(pointer, "must not contain itself"));
        }
        if self.path.len() >= DEEPEST {
            return Err(refused(pointer, "stands within more than 64 schemas"));
        }
        keywords_taken(pointer, members)?;
        self.path.push(pointer.to_owned());
        let mut size = 1_u64;
        for (place, inner) in parts(pointer, members) {
            size = size.saturating_add(self.size_of(&place, inner)?);
        }
        if let Some(reference) = members.get("$ref") {
            size = size.saturating_add(self.size_of_reference(pointer, reference)?);
        }
        self.path.pop();
        self.sizes.insert(pointer.to_owned(), size);
        Ok(size)
    }

    fn size_of_reference(&mut self, pointer: &str, reference: &Value) -> Result<u64, Violation> {
        let at = format!("{pointer}/$ref");
        let target = reference.as_str().and_then(|it| it.strip_prefix('#'));
        let target = target.filter(|it| it.is_empty() || it.starts_with('/'));
        let Some(target) = target.filter(|it| !it.contains('%')) else {
            return Err(refused(
                &at,
                "must be # or begin with #/: a schema points into itself only",
            ));
        };
        let root = self.root;
        let schema = root.pointer(target);
        let schema = schema.ok_or_else(|| refused(&at, "points at nothing"))?;
        let canonical = target.to_owned();
        self.size_of(&canonical, schema)
    }
}

fn keywords_taken(pointer: &str, members: &Map<String, Value>) -> Result<(), Violation> {
    for keyword in NOT_TAKEN {
        if members.contains_key(keyword) {
            let at = format!("{pointer}/{keyword}");
            return Err(refused(&at, "is not taken here: refer by a pointer, #/..."));
        }
    }
    if !pointer.is_empty() && members.contains_key("$id") {
        let at = format!("{pointer}/$id");
        return Err(refused(&at, "is taken at the top only"));
    }
    let draft = members.get("$schema").map(Value::as_str);
    if draft.is_some_and(|it| it.map(|it| it.trim_end_matches('#')) != Some(DRAFT)) {
        let at = format!("{pointer}/$schema");
        return Err(refused(&at, "must be the draft 2020-12"));
    }
    Ok(())
}

/// The schemas within one, with their pointers.
fn parts<'a>(pointer: &str, members: &'a Map<String, Value>) -> Vec<(String, &'a Value)> {
    let mut parts = Vec::new();
    for keyword in OF_ONE {
        let one = members.get(keyword);
        parts.extend(one.map(|it| (format!("{pointer}/{keyword}"), it)));
    }
    for keyword in OF_A_LIST {
        let list = members.get(keyword).and_then(Value::as_array);
        let list = list.into_iter().flatten().enumerate();
        parts.extend(list.map(|(place, it)| (format!("{pointer}/{keyword}/{place}"), it)));
    }
    for keyword in BY_NAME {
        let named = members.get(keyword).and_then(Value::as_object);
        let named = named.into_iter().flatten();
        parts.extend(named.map(|(name, it)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            (format!("{pointer}/{keyword}/{name}"), it)
        }));
    }
    parts
}

fn refused(pointer: &str, detail: &str) -> Violation {
    Violation {
        pointer: Phi::new(format!("/schema{pointer}")),
        detail: detail.to_owned(),
    }
}
