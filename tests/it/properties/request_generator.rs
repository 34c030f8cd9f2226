//! Generates requests from the OpenAPI document.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::test_app::fresh;

/// One method of one path.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    parameters: Vec<(String, Value)>,
    body: Option<Value>,
}

impl Operation {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Returns the operations of an OpenAPI document, with references resolved.
pub(super) fn operations(described: &Value) -> Result<Vec<Operation>> {
    let paths = described["paths"].as_object().context("no paths")?;
    let mut operations = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().context("no methods")? {
            let parameters = operation["parameters"].as_array();
            let query = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query");
            let named = query.map(|value| {
                let name = value["name"].as_str().unwrap_or_default();
                (name.to_owned(), value["schema"].clone())
            });
            let body = operation.pointer("/requestBody/content/application~1json/schema");
            operations.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                parameters: named.collect(),
                body: body.map(|value| resolved(described, value)),
            });
        }
    }
    Ok(operations)
}

fn resolved(described: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let place = name.trim_start_matches('#');
        return described
            .pointer(place)
            .map_or(Value::Null, |value| resolved(described, value));
    }
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), resolved(described, member)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| resolved(described, item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// Values that have a meaning in some member, by member name; the last ones are for all other members.
const WORDS: &[(&[&str], &[&str])] = &[
    (
        &["status"],
        &[
            "requested",
            "scheduled",
            "in_progress",
            "completed",
            "cancelled",
            "pending",
            "running",
            "failed",
            "archived",
            "available",
            "draft",
            "final",
            "all",
            "open",
        ],
    ),
    (&["priority"], &["routine", "urgent", "stat"]),
    (&["protocol"], &["DICOM", "dicomweb", "WADO_RS"]),
    (
        &["method"],
        &["phone", "in_person", "secure_message", "other"],
    ),
    (&["decision"], &["accepted", "rejected", "modified"]),
    (
        &["kind"],
        &["addition", "correction", "amendment", "none", "basic"],
    ),
    (
        &["task_type"],
        &["triage", "quality", "pre_report", "comparison"],
    ),
    (
        &["output_type"],
        &[
            "triage",
            "quality",
            "finding_list",
            "bbox",
            "segmentation",
            "suggested_report",
            "comparison",
        ],
    ),
    (&["template_type"], &["free_text", "structured", "hybrid"]),
    (&["modality_code", "modality"], &["CT", "ct", "MR"]),
    (&["pacs_endpoint_code"], &["MAIN", "main", "NONE"]),
    (&["link"], &["linked", "unlinked", "conflict"]),
    (
        &[
            "communicated_at",
            "started_at",
            "ended_at",
            "performed_start_at",
            "performed_end_at",
            "from_date",
            "to_date",
            "as_of",
        ],
        &[
            "2026-01-31T08:15:00Z",
            "2026-01-31",
            "2999-12-31T23:59:59.999Z",
            "-1",
            "1",
        ],
    ),
    (
        &["code"],
        &[
            "CT",
            "MR",
            "CT_HEAD",
            "findings",
            "ventricles",
            "US",
            "not-found",
        ],
    ),
    (
        &[],
        &[
            "",
            " ",
            "x",
            "CT",
            "2.25.1",
            "zq\u{0}",
            "ﬀ\u{202e}\u{1f9e0}",
            "%00",
            "' OR 1=1 --",
        ],
    ),
];

/// Maximum length of a parameter, in characters; the client rejects more.
const LONGEST_PARAMETER: usize = 4096;

/// Generates requests from a seed and from earlier responses.
pub(super) struct RequestGenerator {
    state: u64,
    known: BTreeMap<String, Vec<String>>,
}

impl RequestGenerator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            known: BTreeMap::new(),
        }
    }

    /// Returns the next number of SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn in_100(&mut self, chances: u64) -> bool {
        self.next() % 100 < chances
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = usize::try_from(self.next()).unwrap_or_default() % all.len();
        &all[index]
    }

    /// Stores the ids of a response by member name, and the id of the resource by the path of its list.
    pub(super) fn learn(&mut self, place: &str, answer: &Value) {
        let list = place.split('{').next().unwrap_or_default();
        let list = list.trim_end_matches("/sync").trim_end_matches('/');
        match answer {
            Value::Object(members) => {
                for (name, member) in members {
                    let id = member.as_str().filter(|text| Uuid::try_parse(text).is_ok());
                    match id {
                        Some(id) if name == "id" => self.know(list, id),
                        Some(id) => self.know(name, id),
                        None => self.learn("", member),
                    }
                }
            }
            Value::Array(items) => items.iter().take(5).for_each(|item| self.learn(list, item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn know(&mut self, name: &str, id: &str) {
        let known = self.known.entry(name.to_owned()).or_default();
        known.push(id.to_owned());
    }

    /// Returns an id, mostly one that earlier responses had under this name.
    fn id(&mut self, name: &str) -> String {
        let name = match name {
            "/patients" => "patient_id",
            "output_id" => "/imaging-ai/outputs",
            "modality_id" => "/imaging/modalities",
            "imaging_procedure_id" => "/imaging/procedures",
            name => name,
        };
        let all = if self.in_100(90) {
            self.known.get(name).cloned()
        } else {
            self.known.values().next_back().cloned()
        };
        match all {
            Some(all) => self.one_of(&all).clone(),
            None => fresh().to_string(),
        }
    }

    /// Returns a path with its parameters.
    pub(super) fn path(&mut self, operation: &Operation) -> String {
        let mut segments = Vec::new();
        for segment in operation.path.split('/') {
            segments.push(match segment.strip_prefix('{') {
                Some(_) if operation.path.starts_with("/problems") => "not-found".to_owned(),
                Some("id}") => self.id(&segments.join("/")),
                Some(name) => self.id(name.trim_end_matches('}')),
                None => segment.to_owned(),
            });
        }
        let mut path = segments.join("/");
        let mut before = '?';
        for (name, schema) in &operation.parameters {
            if name == "wait" || !self.in_100(25) {
                continue;
            }
            let value = self.value(name, schema, 0);
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let value: String = value.chars().take(LONGEST_PARAMETER).collect();
            let pair = serde_urlencoded::to_string([(name, value)]).unwrap_or_default();
            path = format!("{path}{before}{pair}");
            before = '&';
        }
        path
    }

    /// Returns a body if the operation has one.
    pub(super) fn body(&mut self, operation: &Operation) -> Option<Value> {
        let schema = operation.body.as_ref()?;
        Some(self.value("", schema, 0))
    }

    fn value(&mut self, name: &str, schema: &Value, depth: u32) -> Value {
        if self.in_100(3) {
            return self.nonsense();
        }
        let one_of = schema["oneOf"].as_array().cloned().unwrap_or_default();
        if !one_of.is_empty() {
            let schema = self.one_of(&one_of).clone();
            return self.value(name, &schema, depth);
        }
        let kinds = &schema["type"];
        let kind = kinds.as_str().or_else(|| kinds[0].as_str());
        match kind {
            Some("string") if schema["format"] == "uuid" => Value::String(self.id(name)),
            Some("string") => self.word(name),
            Some("boolean") => Value::Bool(self.in_100(50)),
            Some("integer") if self.in_100(80) => {
                self.one_of(&[json!(1), json!(2), json!(50)]).clone()
            }
            Some("integer") => self.one_of(&[json!(0), json!(-1), json!(u64::MAX)]).clone(),
            Some("number") => self
                .one_of(&[json!(0.92), json!(0), json!(1), json!(-1e308)])
                .clone(),
            Some("array") => self.array(name, &schema["items"], depth),
            Some("object") => self.object(schema, depth),
            Some(_) | None => self.nonsense(),
        }
    }

    fn nonsense(&mut self) -> Value {
        let all = [
            json!(null),
            json!([]),
            json!({}),
            json!(true),
            json!("x".repeat(70_000)),
            json!({ "triage_score": 0.3, "flags": [] }),
        ];
        self.one_of(&all).clone()
    }

    fn word(&mut self, name: &str) -> Value {
        if name.ends_with("_uid") && self.in_100(80) {
            return json!(format!("2.25.{}", fresh().as_u128()));
        }
        if self.in_100(20) {
            return json!(format!("W{}", self.next() % 1000));
        }
        let own = WORDS.iter().find(|(names, _)| names.contains(&name));
        let words = match own {
            Some((_, words)) if self.in_100(90) => words,
            _ => WORDS[WORDS.len() - 1].1,
        };
        json!(self.one_of(words))
    }

    fn array(&mut self, name: &str, items: &Value, depth: u32) -> Value {
        let many = if depth > 4 { 0 } else { self.next() % 3 };
        (0..many)
            .map(|_| self.value(name, items, depth + 1))
            .collect()
    }

    fn object(&mut self, schema: &Value, depth: u32) -> Value {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut grown = Map::new();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let chances = if required.contains(&name.as_str()) {
                98
            } else if depth > 4 {
                0
            } else if name == "tenant_id" {
                3
            } else {
                35
            };
            if self.in_100(chances) {
                grown.insert(name.clone(), self.value(name, member, depth + 1));
            }
        }
        if grown.is_empty() || self.in_100(2) {
            grown.insert("triage_score".to_owned(), json!(0.7));
        }
        Value::Object(grown)
    }
}
