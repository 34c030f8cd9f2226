//! Cost of an evaluation of data against a schema, counted in advance.
//!
//! The validator has no limit and cannot be cancelled. So the structure of the schema is walked along with the data to
//! count which schema is applied to which value, how often, and the maximum cost. The unit is a step: one keyword
//! applied to one value, or 16 automaton states of a pattern applied to one byte.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::extent::ValueSize;

/// Maximum number of steps of an evaluation, which takes tens of milliseconds.
pub(super) const MOST_STEPS: u64 = 2_000_000;
/// Number of automaton states that count as one step per byte of text.
const STATES_A_STEP: u64 = 16;
/// Cost of `uniqueItems` per value within the items, in steps.
const UNIQUE_STEPS: u64 = 16;

/// Way in which a subschema is applied to the value of the schema that contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Application {
    /// Its errors are errors of the enclosing schema.
    Applied,
    /// Only its validity matters; its errors are discarded.
    Tried,
    /// Its errors are reported if all of its siblings are invalid.
    Branch,
}

/// Schema in the plan.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Steps of its keywords per value, without subschemas.
    pub(super) own: u64,
    /// Maximum number of errors of these keywords per value.
    pub(super) errors: u64,
    /// Subschemas for the same value.
    pub(super) here: Vec<(usize, Application)>,
    /// Subschemas for members, by name.
    pub(super) properties: BTreeMap<String, usize>,
    /// Subschemas for any member.
    pub(super) members: Vec<usize>,
    /// Subschema for member names.
    pub(super) names: Option<usize>,
    /// Subschemas for items, by index.
    pub(super) prefix: Vec<usize>,
    /// Subschemas for any item.
    pub(super) items: Vec<(usize, Application)>,
    /// Whether items are compared with one another (`uniqueItems`).
    pub(super) compares_items: bool,
    /// Number of automaton states of its `pattern`.
    pub(super) states: u64,
    /// Total number of states of the patterns that are matched against member names.
    pub(super) name_states: u64,
    /// Number of times that the subschemas for the same value are evaluated because `unevaluated...` has to know which
    /// of them evaluated what; 0 if the schema has no such keyword.
    pub(super) times: u64,
}

/// All schemas reachable from the root schema, in evaluation form.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
}

/// Maximum cost of an evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EvaluationCost {
    /// Steps to determine validity.
    pub(super) valid: u64,
    /// Steps to collect all errors.
    pub(super) named: u64,
    /// Number of errors.
    pub(super) errors: u64,
}

impl EvaluationCost {
    fn add(&mut self, part: Self, way: Application) {
        self.valid = self.valid.saturating_add(part.valid);
        let (named, errors) = match way {
            Application::Applied => (part.named, part.errors),
            Application::Tried => (part.valid, 0),
            Application::Branch => (part.valid.saturating_add(part.named), part.errors),
        };
        self.named = self.named.saturating_add(named);
        self.errors = self.errors.saturating_add(errors);
    }

    const fn times(self, times: u64) -> Self {
        Self {
            valid: self.valid.saturating_mul(times),
            named: self.named.saturating_mul(times),
            errors: self.errors.saturating_mul(times),
        }
    }
}

impl Plan {
    /// Returns the cost of an evaluation of the data, or `None` if it exceeds [`MOST_STEPS`].
    pub(super) fn effort(&self, data: &Value) -> Option<EvaluationCost> {
        let mut count = Count {
            plan: self,
            left: MOST_STEPS,
        };
        let effort = count.cost_of(0, data)?;
        let steps = effort.valid.saturating_add(effort.named);
        (steps <= MOST_STEPS).then_some(effort)
    }
}

/// Running count, which itself takes at most [`MOST_STEPS`].
struct Count<'a> {
    plan: &'a Plan,
    left: u64,
}

impl Count<'_> {
    fn cost_of(&mut self, node: usize, value: &Value) -> Option<EvaluationCost> {
        let node = self.plan.nodes.get(node)?;
        let own = own_steps(node, value);
        self.left = self.left.checked_sub(own)?;
        let mut effort = EvaluationCost {
            valid: own,
            named: own,
            errors: node.errors,
        };
        for (part, way) in &node.here {
            let part = self.cost_of(*part, value)?;
            effort.add(part.times(node.times.max(1)), *way);
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(items) => self.add_items(&mut effort, node, items)?,
            Value::Object(members) => self.add_members(&mut effort, node, members)?,
        }
        Some(effort)
    }

    fn add_items(
        &mut self,
        effort: &mut EvaluationCost,
        node: &Node,
        items: &[Value],
    ) -> Option<()> {
        for (part, item) in node.prefix.iter().zip(items) {
            effort.add(self.cost_of(*part, item)?, Application::Applied);
        }
        for (part, way) in &node.items {
            for item in items {
                effort.add(self.cost_of(*part, item)?, *way);
            }
        }
        Some(())
    }

    fn add_members(
        &mut self,
        effort: &mut EvaluationCost,
        node: &Node,
        members: &Map<String, Value>,
    ) -> Option<()> {
        for (name, part) in &node.properties {
            if let Some(member) = members.get(name) {
                effort.add(self.cost_of(*part, member)?, Application::Applied);
            }
        }
        for part in &node.members {
            for member in members.values() {
                effort.add(self.cost_of(*part, member)?, Application::Applied);
            }
        }
        if let Some(part) = node.names {
            for name in members.keys() {
                effort.add(
                    self.cost_of(part, &Value::from(name.as_str()))?,
                    Application::Applied,
                );
            }
        }
        Some(())
    }
}

/// Returns the steps of the keywords of a schema for a value, without subschemas.
fn own_steps(node: &Node, value: &Value) -> u64 {
    let text = |text: &str, states: u64| (text.len() as u64).saturating_mul(states + 1);
    let more = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(value) => text(value, node.states) / STATES_A_STEP,
        Value::Array(items) if node.compares_items => {
            ValueSize::measure(value).values as u64 * UNIQUE_STEPS + items.len() as u64
        }
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => {
            let names = members.keys().map(|name| text(name, node.name_states));
            let names = names.fold(0, u64::saturating_add);
            names / STATES_A_STEP + members.len() as u64
        }
    };
    node.own.saturating_add(more)
}

#[cfg(test)]
mod tests;
