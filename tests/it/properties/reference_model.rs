//! The reference model: maps in memory, and an independent implementation of the contract's rules.

use std::collections::BTreeMap;

use super::reference_orders::Order;
use super::trace::{Change, NewOrder, OrderRef, TraceCommand, TraceStep};
use serde_json::{Value, json};

/// Result of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModelAnswer {
    /// Resource after the command.
    Shown(Value),
    /// Kind of the rejection.
    Refused(String),
}

/// State of the model.
#[derive(Debug, Default)]
pub(super) struct ReferenceModel {
    modalities: BTreeMap<u8, Entry>,
    procedures: BTreeMap<u8, Entry>,
    pub(super) orders: BTreeMap<OrderRef, Order>,
    generated: u8,
    keys: BTreeMap<(String, u8), (TraceCommand, Value)>,
}

/// Modality or procedure.
#[derive(Debug, Clone)]
struct Entry {
    code: u8,
    name: u8,
    /// Modality of a procedure.
    modality: Option<u8>,
    is_active: bool,
    version: u64,
}

impl Entry {
    fn shown(&self) -> Value {
        json!({
            "code": self.code, "name": self.name, "modality": self.modality,
            "is_active": self.is_active, "version": self.version,
        })
    }

    fn changed(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.name = change.name.unwrap_or(self.name);
        next.is_active = change.is_active.unwrap_or(self.is_active);
        if (next.name, next.is_active) != (self.name, self.is_active) {
            next.version += 1;
        }
        next
    }
}

/// Returns the path of a command, which is the scope of its idempotency key.
pub(super) fn path(ask: &TraceCommand) -> String {
    match ask {
        TraceCommand::CreateModality { .. } => "modalities".to_owned(),
        TraceCommand::ChangeModality { code, .. } => format!("modalities/{code}"),
        TraceCommand::CreateProcedure { .. } => "procedures".to_owned(),
        TraceCommand::ChangeProcedure { code, .. } => format!("procedures/{code}"),
        TraceCommand::CreateOrder(_) => "orders".to_owned(),
        TraceCommand::ChangeOrder { order, .. } => format!("orders/{order:?}"),
    }
}

fn matches(if_match: Option<u64>, version: Option<u64>) -> Result<(), String> {
    match (if_match, version) {
        (Some(asked), Some(is)) if asked != is => Err(format!("version_mismatch {is}")),
        (Some(_), None) => Err("version_mismatch 0".to_owned()),
        _ => Ok(()),
    }
}

impl ReferenceModel {
    /// Returns the result and the number of events that it appends.
    pub(super) fn ask(&mut self, step: &TraceStep) -> (ModelAnswer, u64) {
        if step.foreign {
            return (ModelAnswer::Refused("not_found".to_owned()), 0);
        }
        let scope = step.key.map(|key| (path(&step.ask), key));
        if let Some((ask, first)) = scope.as_ref().and_then(|scope| self.keys.get(scope)) {
            let said = if *ask == step.ask {
                ModelAnswer::Shown(first.clone())
            } else {
                ModelAnswer::Refused("key_reused".to_owned())
            };
            return (said, 0);
        }
        match self.decide(step) {
            Ok((shown, events)) => {
                if let Some(scope) = scope {
                    self.keys.insert(scope, (step.ask.clone(), shown.clone()));
                }
                (ModelAnswer::Shown(shown), events)
            }
            Err(kind) => (ModelAnswer::Refused(kind), 0),
        }
    }

    fn decide(&mut self, step: &TraceStep) -> Result<(Value, u64), String> {
        let if_match = step.if_match;
        match &step.ask {
            TraceCommand::CreateModality { code } => {
                add(&mut self.modalities, *code, None, if_match)
            }
            TraceCommand::ChangeModality { code, change } => {
                update(&mut self.modalities, *code, change, if_match)
            }
            TraceCommand::CreateProcedure { code, modality } => {
                if !self.modalities.contains_key(modality) {
                    return Err("no_such_modality".to_owned());
                }
                add(&mut self.procedures, *code, Some(*modality), if_match)
            }
            TraceCommand::ChangeProcedure { code, change } => {
                update(&mut self.procedures, *code, change, if_match)
            }
            TraceCommand::CreateOrder(new) => self.create_order(new, if_match),
            TraceCommand::ChangeOrder { order, patch } => {
                let before = self.orders.get_mut(order).ok_or("not_found")?;
                matches(if_match, Some(before.version))?;
                let after = before.changed(patch)?;
                let events = after.version - before.version;
                *before = after;
                Ok((before.shown(*order), events))
            }
        }
    }

    fn create_order(
        &mut self,
        new: &NewOrder,
        if_match: Option<u64>,
    ) -> Result<(Value, u64), String> {
        let procedure = self.procedures.get(&new.procedure);
        let procedure = procedure.ok_or("no_such_procedure")?;
        if !procedure.is_active {
            return Err("inactive".to_owned());
        }
        let name = match new.accession {
            Some(number) => OrderRef::Given(number),
            None => OrderRef::Generated(self.generated),
        };
        if let Some(there) = self.orders.get(&name) {
            matches(if_match, Some(there.version))?;
            return Err("already_exists".to_owned());
        }
        matches(if_match, None)?;
        if new.accession.is_none() {
            self.generated += 1;
        }
        let order = Order::new(new, (procedure.code, procedure.name, procedure.modality));
        let shown = order.shown(name);
        self.orders.insert(name, order);
        Ok((shown, 1))
    }
}

fn add(
    entries: &mut BTreeMap<u8, Entry>,
    code: u8,
    modality: Option<u8>,
    if_match: Option<u64>,
) -> Result<(Value, u64), String> {
    if let Some(there) = entries.get(&code) {
        matches(if_match, Some(there.version))?;
        return Err("already_exists".to_owned());
    }
    matches(if_match, None)?;
    let entry = Entry {
        code,
        name: 0,
        modality,
        is_active: true,
        version: 1,
    };
    let shown = entry.shown();
    entries.insert(code, entry);
    Ok((shown, 1))
}

fn update(
    entries: &mut BTreeMap<u8, Entry>,
    code: u8,
    change: &Change,
    if_match: Option<u64>,
) -> Result<(Value, u64), String> {
    let before = entries.get_mut(&code).ok_or("not_found")?;
    matches(if_match, Some(before.version))?;
    let after = before.changed(change);
    let events = after.version - before.version;
    *before = after;
    Ok((before.shown(), events))
}
