//! Measurements of one flood, and their bounds.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::fairness::flood::Answers;
use crate::fairness::probes::{Probed, Seen};
use crate::fairness::work::Figures;
use crate::report::BenchReport;

const COMMAND_MS: f64 = 100.0;
const LIST_MS: f64 = 1000.0;
const HEALTH_MS: f64 = 50.0;
const LAG_SECS: f64 = 10.0;
/// Maximum growth of memory after a flood.
const GROWTH_BYTES: u64 = 64_000_000;
const GROWTH_PERCENT: u64 = 20;
/// Number of wrong responses that are printed.
const PRINTED: usize = 5;

/// Resident memory of the server, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) before: u64,
    /// `None` if the server has ended.
    pub(crate) peak: Option<u64>,
    pub(crate) after: Option<u64>,
}

/// Returns the memory that a server may have after a flood, in bytes, given its memory before.
pub(crate) fn allowed(before: u64) -> u64 {
    before + GROWTH_BYTES.max(before / 100 * GROWTH_PERCENT)
}

/// All measurements of one flood.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) worked: Figures,
    pub(crate) health: Probed,
    pub(crate) answers: Answers,
    /// Time that the read models took to catch up; `None` if they did not.
    pub(crate) lag_after: Option<Duration>,
    pub(crate) seen: Seen,
    pub(crate) memory: Memory,
}

impl Verdict {
    pub(crate) fn print(&self) {
        latency("commands beside it", &self.worked.commands);
        latency("lists beside it", &self.worked.lists);
        latency("study to worklist beside it", &self.worked.followed);
        latency("/health/live", &self.health.each);
        line("probes that failed", &self.health.failed.to_string());
        line("wrong answers", &self.worked.wrong.len().to_string());
        for wrong in self.worked.wrong.iter().take(PRINTED) {
            println!("      {wrong}");
        }
        let answers = self.answers.iter();
        let answers: Vec<_> = answers
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        line("the flood was answered", &answers.join(", "));
        let after = self.lag_after.map_or_else(
            || "not within a minute".to_owned(),
            |after| format!("{:.2} s", after.as_secs_f64()),
        );
        let Seen {
            most_lag,
            not_ready,
        } = self.seen;
        let lag =
            format!("at most {most_lag} events; 0 after {after}; not ready {not_ready} times");
        line("lag of the read models", &lag);
        let Memory {
            before,
            peak,
            after,
        } = self.memory;
        let [before, peak, after] = [Some(before), peak, after].map(megabytes);
        let memory = format!("{before} MB before, {peak} at most, {after} after");
        line("resident memory", &memory);
    }

    /// Compares the measurements with their bounds.
    pub(crate) fn judge(&self, report: &mut BenchReport, name: &str) {
        let p99 = |of: &Histogram<u64>| of.value_at_quantile(0.99) as f64 / 1000.0;
        let mut below = |what: &str, bound: f64, is: f64| {
            report.below(&format!("{name}: {what}"), is, bound);
        };
        below(
            "p99 of commands, ms",
            COMMAND_MS,
            p99(&self.worked.commands),
        );
        below("p99 of lists, ms", LIST_MS, p99(&self.worked.lists));
        below("p99 of /health/live, ms", HEALTH_MS, p99(&self.health.each));
        let failed = self.health.failed as f64;
        below("probes that failed", 0.0, failed);
        below("wrong answers", 0.0, self.worked.wrong.len() as f64);
        let lag = self
            .lag_after
            .map_or(f64::INFINITY, |lag| lag.as_secs_f64());
        below("until the lag is 0, s", LAG_SECS, lag);
        let allowed = megabytes(Some(allowed(self.memory.before)));
        below("memory after, MB", allowed, megabytes(self.memory.after));
    }

    /// Compares the server's peak memory with the bound of its memory after the flood.
    pub(crate) fn judge_peak(&self, report: &mut BenchReport, name: &str) {
        let Memory { before, peak, .. } = self.memory;
        let what = format!("{name}: memory at most, MB");
        report.below(&what, megabytes(peak), megabytes(Some(allowed(before))));
    }
}

/// Converts to MB; infinite if the server has ended.
fn megabytes(bytes: Option<u64>) -> f64 {
    bytes.map_or(f64::INFINITY, |bytes| (bytes / 1_000_000) as f64)
}

fn line(what: &str, told: &str) {
    println!("    {what:<28} {told}");
}

/// Prints a line of latencies, in milliseconds.
pub(crate) fn latency(what: &str, each: &Histogram<u64>) {
    let [p50, p99, max] = [
        each.value_at_quantile(0.5),
        each.value_at_quantile(0.99),
        each.max(),
    ]
    .map(|micros| micros as f64 / 1000.0);
    let count = each.len();
    let told = format!("{count:>7}   p50 {p50:>8.2} ms   p99 {p99:>8.2} ms   max {max:>8.2} ms");
    line(what, &told);
}
