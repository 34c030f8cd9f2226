//! Results of the measurements, and their comparison with the baselines.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::baseline_results::BaselineResults;

/// Returns a histogram of latencies in microseconds, up to 1 min.
pub(crate) fn latencies() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are legal"));
    histogram.auto(true);
    histogram
}

/// Measured rate.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Measure {
    /// Creates a rate from a count, its duration and the latency of each unit.
    pub(crate) fn new(name: String, count: u64, took: Duration, each: &Histogram<u64>) -> Self {
        Self {
            name,
            per_second: count as f64 / took.as_secs_f64(),
            p50: Duration::from_micros(each.value_at_quantile(0.5)),
            p99: Duration::from_micros(each.value_at_quantile(0.99)),
        }
    }
}

/// Ratio to be reached.
struct Ratio {
    what: String,
    is: f64,
    at_least: f64,
}

/// Upper bound.
struct Bound {
    what: String,
    is: f64,
    at_most: f64,
}

impl Bound {
    fn is_held(&self) -> bool {
        self.is <= self.at_most
    }
}

/// Report that prints each result immediately; ratios are printed last.
pub(crate) struct BenchReport {
    peers: BaselineResults,
    ratios: Vec<Ratio>,
    bounds: Vec<Bound>,
}

impl BenchReport {
    pub(crate) fn new(peers: BaselineResults) -> Self {
        Self {
            peers,
            ratios: Vec::new(),
            bounds: Vec::new(),
        }
    }

    /// Prints a rate.
    pub(crate) fn add(&mut self, measure: &Measure) {
        println!(
            "{:<44} {:>10.0}/s   p50 {:>8.3} ms   p99 {:>8.3} ms",
            measure.name,
            measure.per_second,
            measure.p50.as_secs_f64() * 1000.0,
            measure.p99.as_secs_f64() * 1000.0
        );
    }

    /// Compares a rate with a baseline of the same run.
    pub(crate) fn compare_with_baseline(
        &mut self,
        what: &str,
        rate: f64,
        peer: (&str, usize),
        at_least: f64,
    ) {
        let Some(theirs) = self.peers.per_second(peer.0, peer.1) else {
            return;
        };
        let what = format!("{what} / {} at {}", peer.0, peer.1);
        self.ratios.push(Ratio {
            what,
            is: rate / theirs,
            at_least,
        });
    }

    /// Compares a figure with a budget that is not a baseline.
    pub(crate) fn compare_with_budget(&mut self, what: &str, is: f64, at_least: f64) {
        self.ratios.push(Ratio {
            what: what.to_owned(),
            is: is / at_least,
            at_least: 1.0,
        });
    }

    /// Compares a figure with its upper bound.
    pub(crate) fn below(&mut self, what: &str, is: f64, at_most: f64) {
        self.bounds.push(Bound {
            what: what.to_owned(),
            is,
            at_most,
        });
    }

    /// Returns whether any figure exceeded its bound.
    pub(crate) fn is_beyond_a_bound(&self) -> bool {
        self.bounds.iter().any(|bound| !bound.is_held())
    }

    /// Prints the last lines of measurements with bounds and without ratios.
    pub(crate) fn print_bounds(&self) {
        println!("\nbounds (what is the most)");
        for bound in &self.bounds {
            let Bound { what, is, at_most } = bound;
            let held = if bound.is_held() { "held" } else { "MISSED" };
            println!("{what:<60} {is:>10.2}  ({at_most:.2})  {held}");
        }
    }

    /// Prints the ratios, which are the last lines.
    pub(crate) fn print_ratios(&self) {
        println!("\nratios (what is to be reached)");
        for Ratio { what, is, at_least } in &self.ratios {
            let reached = if is >= at_least { "reached" } else { "MISSED" };
            println!("{what:<60} {is:>7.2}  ({at_least:.2})  {reached}");
        }
    }
}
