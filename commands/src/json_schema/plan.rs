//! What it takes to evaluate data against a schema, counted before it is done.
//!
//! The validator has no limit of its own, and stops for nobody. So the schema's own structure is walked along with the
//! data: which schema is applied to which value, how often, and what that takes at most. The count is in steps: one
//! keyword that looks at one value, or sixteen states of a pattern's automaton that look at one byte.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::extent::ValueSize;

/// How many steps an evaluation may take: tens of milliseconds.
pub(super) const MOST_STEPS: u64 = 2_000_000;
/// How many states of an automaton are a step for a byte of text.
const STATES_A_STEP: u64 = 16;
/// What the comparison of items takes for a value in them, in steps.
const UNIQUE_STEPS: u64 = 16;

/// How a schema is applied to the value that the schema around it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Application {
    /// Its errors are those of the schema around it.
    Applied,
    /// Only whether the value is valid counts.
    Tried,
    /// Its errors count if all of its siblings are invalid.
    Branch,
}

/// A schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The steps of its own keywords for one value.
    pub(super) own: u64,
    /// The most errors that they have for one value.
    pub(super) errors: u64,
    /// Schemas for the same value.
    pub(super) here: Vec<(usize, Application)>,
    /// Schemas for members, by name.
    pub(super) properties: BTreeMap<String, usize>,
    /// Schemas for any member.
    pub(super) members: Vec<usize>,
    /// The schema for names of members.
    pub(super) names: Option<usize>,
    /// Schemas for items, by place.
    pub(super) prefix: Vec<usize>,
    /// Schemas for any item.
    pub(super) items: Vec<(usize, Application)>,
    /// Whether items are compared with one another.
    pub(super) compares_items: bool,
    /// The states of its pattern.
    pub(super) states: u64,
    /// The states of the patterns that names of members are held against.
    pub(super) name_states: u64,
    /// How often the schemas for the same value are tried, where `unevaluated...` asks which of them looked at what;
    /// else 0.
    pub(super) times: u64,
}

/// The schemas that one consists of, as they are evaluated.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
}

/// What an evaluation takes at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EvaluationCost {
    /// Steps until it is known whether the value is valid.
    pub(super) valid: u64,
    /// Steps until all errors are known.
    pub(super) named: u64,
    /// Errors.
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
    /// What the evaluation of data takes; `None` where that is more than [`MOST_STEPS`].
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

/// A count under way, which takes no more steps than the evaluation may.
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

/// The steps of a schema's own keywords for a value.
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
