//! What a schema may be, before anything is made of it.
//!
//! A short schema can unfold to a long evaluation: `allOf` of two references to an `allOf` of two references, thirty
//! times over, is a billion steps. And one that contains itself can be followed for ever. Reports need neither. So a
//! schema is walked as it unfolds, references followed, and refused where that is too long, too deep or endless. What
//! comes of the walk is the [`Plan`] by which the evaluation of data is counted.

mod keywords;

use std::collections::BTreeMap;

use roentgen_domain::phi::Phi;
use serde_json::{Map, Value};

use super::extent::ValueSize;
use super::patterns::{Cost, Patterns};
use super::plan::{Application, Node, Plan};
use crate::error::Violation;
use keywords::{Part, Role, check_keywords, parts};

/// How many values a schema may consist of.
const MOST_VALUES: usize = 12_000;
/// How long the pointers to all of its values may be together, in bytes.
const MOST_POINTERS: usize = 1 << 20;
/// What its values may take in memory that are no schemas, in bytes. The validator copies them.
const MOST_BYTES: usize = 2 << 20;
/// How many schemas it may consist of.
const MOST_LISTED: usize = 4_000;
/// How many schemas it may unfold to.
const MAX_EXPANDED_SCHEMAS: u64 = 10_000;
/// How many schemas may stand within one another, references followed.
const MAX_DEPTH: usize = 64;
/// How many conditions `unevaluated...` follows one by one; beyond them it tries the schemas again.
const MOST_CONDITIONS: u64 = 32;

/// What a schema costs that is within the bounds.
#[derive(Debug)]
pub(super) struct SchemaCost {
    /// How its evaluation is counted.
    pub(super) plan: Plan,
    /// What its patterns cost.
    pub(super) patterns: Cost,
    /// How many schemas it unfolds to.
    pub(super) schemas: u64,
    /// What its values take in memory that are no schemas, in bytes.
    pub(super) bytes: usize,
}

/// Refuses what is endless, too much, or leads outside.
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

/// What is known of a schema beside its place in the plan.
#[derive(Debug, Clone, Copy, Default)]
struct SchemaFacts {
    /// What it unfolds to.
    size: u64,
    /// The part of it that is for the same value.
    here: u64,
    /// How many schemas for the same value stand within one another.
    depth: u64,
    /// How many of them are conditions.
    conditions: u64,
    /// Whether one of them asks what was not evaluated.
    asks: bool,
}

/// The patterns of a node: its own, and those that names of members are held against.
#[derive(Debug, Default)]
struct AppliedPatterns<'a> {
    own: Option<&'a str>,
    of_names: Vec<&'a str>,
}

struct SchemaSizer<'a> {
    root: &'a Value,
    /// The pointers of the schemas that the walk is within.
    path: Vec<String>,
    /// Which node a schema is.
    known: BTreeMap<String, usize>,
    plan: Plan,
    /// Of each node.
    facts: Vec<SchemaFacts>,
    held: Vec<AppliedPatterns<'a>>,
    patterns: Patterns<'a>,
    /// What values take in memory that are no schemas, in bytes.
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

    /// The node of the schema at this pointer.
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

/// The plan with what is known of the patterns by now. `unevaluatedProperties` holds names against the patterns of the
/// schemas for the same value, too, wherever they are.
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
