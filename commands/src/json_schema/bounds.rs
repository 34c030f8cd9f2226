//! Bounds of a schema, checked before it is compiled.
//!
//! A short schema can expand to a long evaluation: `allOf` of two references to an `allOf` of two references, nested
//! thirty levels deep, takes a billion steps. A recursive schema has no bound at all. Reports need neither. The schema
//! is walked with its references resolved, and rejected if it is too large, too deep or recursive. The walk returns the
//! [`Plan`] with which the steps of an evaluation are counted.

mod keywords;

use std::collections::BTreeMap;

use roentgen_domain::phi::Phi;
use serde_json::{Map, Value};

use super::extent::ValueSize;
use super::patterns::{Cost, Patterns};
use super::plan::{Application, Node, Plan};
use crate::error::Violation;
use keywords::{Part, Role, check_keywords, parts};

/// Maximum number of JSON values in a schema.
const MOST_VALUES: usize = 12_000;
/// Maximum total length of the pointers to all values, in bytes (1 MiB).
const MOST_POINTERS: usize = 1 << 20;
/// Maximum memory of the values that are not schemas, in bytes (2 MiB). The validator copies them.
const MOST_BYTES: usize = 2 << 20;
/// Maximum number of distinct subschemas.
const MOST_LISTED: usize = 4_000;
/// Maximum number of subschemas after references are expanded.
const MAX_EXPANDED_SCHEMAS: u64 = 10_000;
/// Maximum nesting depth of subschemas, references included.
const MAX_DEPTH: usize = 64;
/// Maximum number of conditions that `unevaluated...` follows one by one; if there are more, it evaluates the schemas
/// again.
const MOST_CONDITIONS: u64 = 32;

/// Cost of a schema that is within the bounds.
#[derive(Debug)]
pub(super) struct SchemaCost {
    /// Plan with which an evaluation is counted.
    pub(super) plan: Plan,
    /// Cost of the patterns.
    pub(super) patterns: Cost,
    /// Number of subschemas after expansion.
    pub(super) schemas: u64,
    /// Memory of the values that are not schemas, in bytes.
    pub(super) bytes: usize,
}

/// Checks the bounds. Rejects a schema that is recursive, too large, or refers to another document.
pub(super) fn check(schema: &Value) -> Result<SchemaCost, Violation> {
    let extent = ValueSize::measure(schema);
    if extent.values > MOST_VALUES {
        return Err(refused("", "has more than 12000 values"));
    }
    if extent.pointers > MOST_POINTERS {
        return Err(refused(
            "",
            "has names so long, or values so deep, that the pointers to them take more than 1 MiB",
        ));
    }
    let mut walk = SchemaSizer::new(schema);
    let root = walk.node_of("", schema)?;
    let schemas = walk.facts_of(root).size;
    if schemas > MAX_EXPANDED_SCHEMAS {
        return Err(refused("", "expands to more than 10000 subschemas"));
    }
    let SchemaSizer {
        plan,
        patterns,
        held,
        bytes,
        ..
    } = walk;
    let patterns = patterns.cost()?;
    let plan = with_states(plan, &held, &patterns);
    Ok(SchemaCost {
        plan,
        patterns,
        schemas,
        bytes,
    })
}

pub(super) fn refused(pointer: &str, detail: &str) -> Violation {
    Violation {
        pointer: Phi::new(format!("/schema{pointer}")),
        detail: detail.to_owned(),
    }
}

/// Attributes of a subschema that the plan does not contain.
#[derive(Debug, Clone, Copy, Default)]
struct SchemaFacts {
    /// Number of subschemas after expansion.
    size: u64,
    /// Part of `size` that applies to the same value.
    here: u64,
    /// Nesting depth of the subschemas for the same value.
    depth: u64,
    /// Number of conditions among the subschemas for the same value.
    conditions: u64,
    /// Whether one of the subschemas has an `unevaluated...` keyword.
    asks: bool,
}

/// Patterns of a node: its `pattern`, and the patterns that are matched against member names.
#[derive(Debug, Default)]
struct AppliedPatterns<'a> {
    own: Option<&'a str>,
    of_names: Vec<&'a str>,
}

struct SchemaSizer<'a> {
    root: &'a Value,
    /// Pointers of the schemas that enclose the current one.
    path: Vec<String>,
    /// Node of each schema, by pointer.
    known: BTreeMap<String, usize>,
    plan: Plan,
    /// Attributes of each node.
    facts: Vec<SchemaFacts>,
    held: Vec<AppliedPatterns<'a>>,
    patterns: Patterns<'a>,
    /// Memory of the values that are not schemas, in bytes.
    bytes: usize,
}

impl<'a> SchemaSizer<'a> {
    fn new(root: &'a Value) -> Self {
        Self {
            root,
            path: Vec::new(),
            known: BTreeMap::new(),
            plan: Plan::default(),
            facts: Vec::new(),
            held: Vec::new(),
            patterns: Patterns::default(),
            bytes: 0,
        }
    }

    fn facts_of(&self, node: usize) -> SchemaFacts {
        self.facts.get(node).copied().unwrap_or_default()
    }

    /// Returns the node of the schema at this pointer.
    fn node_of(&mut self, pointer: &str, schema: &'a Value) -> Result<usize, Violation> {
        if self.path.iter().any(|within| within == pointer) {
            return Err(refused(pointer, "must not be recursive"));
        }
        if let Some(node) = self.known.get(pointer) {
            return Ok(*node);
        }
        if self.path.len() >= MAX_DEPTH {
            return Err(refused(pointer, "is nested more than 64 levels deep"));
        }
        if self.known.len() >= MOST_LISTED {
            return Err(refused("", "consists of more than 4000 schemas"));
        }
        let id = self.plan.nodes.len();
        self.plan.nodes.push(Node::default());
        self.facts.push(SchemaFacts {
            size: 1,
            ..SchemaFacts::default()
        });
        self.held.push(AppliedPatterns::default());
        self.known.insert(pointer.to_owned(), id);
        if let Value::Object(members) = schema {
            self.path.push(pointer.to_owned());
            self.walk(id, pointer, members)?;
            self.path.pop();
        } else if let Some(node) = self.plan.nodes.get_mut(id) {
            (node.own, node.errors) = (1, 1);
        }
        Ok(id)
    }

    fn walk(
        &mut self,
        id: usize,
        pointer: &str,
        members: &'a Map<String, Value>,
    ) -> Result<(), Violation> {
        check_keywords(pointer, members)?;
        self.bytes += keywords::bytes_of_values(members);
        if self.bytes > MOST_BYTES {
            return Err(refused(
                pointer,
                "has values that take more than 2 MiB in memory",
            ));
        }
        let held = keywords::patterns(members);
        for pattern in held.own.iter().chain(&held.of_names) {
            self.patterns.add(pattern, pointer)?;
        }
        let mut node = keywords::own(members);
        let mut facts = SchemaFacts {
            size: 1,
            ..SchemaFacts::default()
        };
        for Part {
            role,
            place,
            schema,
        } in parts(pointer, members)
        {
            let part = self.node_of(&place, schema)?;
            facts.take(self.facts_of(part), &role);
            node.take(role, part);
        }
        if let Some(reference) = members.get("$ref") {
            let part = self.node_of_reference(pointer, reference)?;
            let role = Role::Here(Application::Applied);
            facts.take(self.facts_of(part), &role);
            node.take(role, part);
        }
        if keywords::asks_what_was_not_evaluated(members) {
            if facts.asks {
                let detail = "has unevaluatedProperties or unevaluatedItems, and a schema for the \
                              same value has, too";
                return Err(refused(pointer, detail));
            }
            facts.asks = true;
            let again = facts.here.saturating_mul(1 + facts.depth);
            facts.size = facts.size.saturating_add(again);
            node.times = 2 + facts.depth + 2 * facts.conditions;
        }
        self.settle(id, node, facts, held);
        Ok(())
    }

    fn settle(&mut self, id: usize, node: Node, facts: SchemaFacts, held: AppliedPatterns<'a>) {
        if let Some(place) = self.plan.nodes.get_mut(id) {
            *place = node;
        }
        if let Some(place) = self.facts.get_mut(id) {
            *place = facts;
        }
        if let Some(place) = self.held.get_mut(id) {
            *place = held;
        }
    }

    fn node_of_reference(
        &mut self,
        pointer: &str,
        reference: &'a Value,
    ) -> Result<usize, Violation> {
        let at = format!("{pointer}/$ref");
        let target = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let target = target.filter(|text| text.is_empty() || text.starts_with('/'));
        let Some(target) = target.filter(|text| !text.contains('%')) else {
            return Err(refused(
                &at,
                "must be # or start with #/; only local references are supported",
            ));
        };
        let root = self.root;
        let schema = root.pointer(target);
        let schema = schema.ok_or_else(|| refused(&at, "reference target does not exist"))?;
        self.node_of(target, schema)
    }
}

impl SchemaFacts {
    fn take(&mut self, part: Self, role: &Role) {
        self.size = self.size.saturating_add(part.size);
        if role.is_here() {
            self.here = self.here.saturating_add(part.size);
            self.depth = self.depth.max(part.depth + 1);
            let conditions = part.conditions + u64::from(role.is_condition());
            self.conditions = MOST_CONDITIONS.min(self.conditions + conditions);
            self.asks |= part.asks;
        }
    }
}

impl Node {
    fn take(&mut self, role: Role, part: usize) {
        match role {
            Role::Unused => {}
            Role::Here(way) | Role::Condition(way) => self.here.push((part, way)),
            Role::Property(name) => {
                self.properties.insert(name, part);
            }
            Role::Member => self.members.push(part),
            Role::Names => self.names = Some(part),
            Role::Prefix => self.prefix.push(part),
            Role::Item(way) => self.items.push((part, way)),
        }
    }
}

/// Adds the automaton states of the patterns to the plan. `unevaluatedProperties` also matches names against the
/// patterns of all schemas for the same value.
fn with_states(mut plan: Plan, held: &[AppliedPatterns<'_>], patterns: &Cost) -> Plan {
    let sum = |of: &[&str]| {
        of.iter()
            .map(|pattern| patterns.states(pattern))
            .sum::<u64>()
    };
    let of_all_names: u64 = held.iter().map(|held| sum(&held.of_names)).sum();
    for (node, held) in plan.nodes.iter_mut().zip(held) {
        node.states = held.own.map_or(0, |pattern| patterns.states(pattern));
        node.name_states = match node.times {
            0 => sum(&held.of_names),
            _ => of_all_names,
        };
    }
    plan
}
