//! The thread that compiles and evaluates schemas, and what it keeps of them.
//!
//! It is one thread, so that an engine's memory for a search exists once for each pattern: the engine keeps one for
//! every thread that it was ever used by. Each question is bounded before it is begun, and waits for tens of
//! milliseconds where others are before it; whose turn it is, is for the caller to settle.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use roentgen_domain::ids::TenantId;
use roentgen_domain::report_template::Schema;
use roentgen_store::chain::{Digest, sha256};
use roentgen_store::fair::Share;
use roentgen_store::weighed::WeightedLru;
use serde_json::Value;
use tokio::sync::oneshot;

use super::bounds::refused;
use super::compiled::Compiled;
use crate::error::Violation;

/// What the compiled schemas of all tenants may take, in bytes.
const BUDGET: usize = 64 << 20;

/// Nothing, or everything that is wrong.
pub(super) type ValidationResult = Result<(), Vec<Violation>>;

/// A schema, and data that are to satisfy it; without data, whether it is a schema.
#[derive(Debug)]
pub(super) struct ValidationJob {
    pub(super) tenant: TenantId,
    pub(super) schema: Schema,
    pub(super) data: Option<Value>,
    /// Closed when nobody waits for the verdict any more.
    pub(super) reply: oneshot::Sender<ValidationResult>,
    /// The turn that this takes, until it is answered.
    pub(super) turn: Share,
}

/// Starts the thread, which ends with the last sender of questions.
pub(super) fn start() -> std::io::Result<mpsc::Sender<ValidationJob>> {
    let (questions, asked) = mpsc::channel::<ValidationJob>();
    let thread = thread::Builder::new().name("schemas".to_owned());
    thread.spawn(move || {
        let mut kept = CompiledCache::new(BUDGET);
        for question in asked {
            kept.answer(question);
        }
    })?;
    Ok(questions)
}

/// Compiled schemas by tenant.
#[derive(Debug)]
struct CompiledCache(WeightedLru<TenantId, Digest, Compiled>);

impl CompiledCache {
    fn new(budget: usize) -> Self {
        Self(WeightedLru::new(budget))
    }

    fn answer(&mut self, question: ValidationJob) {
        let ValidationJob {
            tenant,
            schema,
            data,
            reply,
            turn,
        } = question;
        if reply.is_closed() {
            return;
        }
        // A panic of the validator is this question's alone, and such a schema is not kept.
        let judged = AssertUnwindSafe(|| self.judge(tenant, &schema, data.as_ref(), &reply));
        let verdict = catch_unwind(judged)
            .unwrap_or_else(|_panic| Err(vec![refused("", "cannot be evaluated")]));
        // Somebody else's turn begins before the answer is read.
        drop(turn);
        let _ = reply.send(verdict);
    }

    fn judge(
        &mut self,
        tenant: TenantId,
        schema: &Schema,
        data: Option<&Value>,
        reply: &oneshot::Sender<ValidationResult>,
    ) -> ValidationResult {
        let members = schema.as_object();
        let key = sha256(&serde_json::to_vec(members).unwrap_or_default());
        let satisfied =
            |compiled: &Compiled| data.map_or(Ok(()), |data| compiled.validate(schema, data));
        if let Some(compiled) = self.0.get(tenant, &key) {
            return satisfied(compiled);
        }
        let compiled = Compiled::new(Value::Object(members.clone()))?;
        let verdict = satisfied(&compiled);
        // What nobody waited for is nothing to be asked for again.
        if !reply.is_closed() {
            let weight = compiled.weight;
            self.0.put(tenant, key, compiled, weight);
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
