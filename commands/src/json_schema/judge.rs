//! Thread that compiles and evaluates schemas, and its cache of compiled schemas.
//!
//! There is only one thread because the regex engine keeps memory for searches per pattern and per thread. Each job is
//! bounded before it starts, and waits for tens of milliseconds if others are queued. The caller decides the order of
//! jobs.

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

/// Maximum memory of the compiled schemas of all tenants, in bytes (64 MiB).
const BUDGET: usize = 64 << 20;

/// `Ok`, or all violations.
pub(super) type ValidationResult = Result<(), Vec<Violation>>;

/// Schema to validate, with the data to check against it, if any.
#[derive(Debug)]
pub(super) struct ValidationJob {
    pub(super) tenant: TenantId,
    pub(super) schema: Schema,
    pub(super) data: Option<Value>,
    /// Closed when nobody waits for the result any more.
    pub(super) reply: oneshot::Sender<ValidationResult>,
    /// Share of the queue that the job holds until it is done.
    pub(super) turn: Share,
}

/// Starts the thread. It ends when the last sender is dropped.
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

/// Compiled schemas by tenant and digest.
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
        // A panic of the validator fails only this job, and the schema is not cached.
        let judged = AssertUnwindSafe(|| self.judge(tenant, &schema, data.as_ref(), &reply));
        let verdict = catch_unwind(judged)
            .unwrap_or_else(|_panic| Err(vec![refused("", "cannot be evaluated")]));
        // The share is released first, so that the next job need not wait until the result is read.
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
        // If the caller has gone, a retry is unlikely: the schema is not cached.
        if !reply.is_closed() {
            let weight = compiled.weight;
            self.0.put(tenant, key, compiled, weight);
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
