//! What was measured, and what it is beside the peers.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::baseline_results::BaselineResults;

/// Latencies in microseconds, up to a minute.
pub(crate) fn latencies() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap_or_else(|_| unreachable!("3 digits are legal"));
    histogram.auto(true);
    histogram
}

/// One rate.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Measure {
    /// From how many in how long, and how long each took.
    pub(crate) fn new(name: String, count: u64, took: Duration, each: &Histogram<u64>) -> Self {
        Self {
            name,
            per_second: count as f64 / took.as_secs_f64(),
            p50: Duration::from_micros(each.value_at_quantile(0.5)),
            p99: Duration::from_micros(each.value_at_quantile(0.99)),
        }
    }
}

/// What is to be reached.
struct Ratio {
    what: String,
    is: f64,
    at_least: f64,
}

/// What must not be exceeded.
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

/// Everything, printed as it comes; ratios last.
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

    /// Puts a rate beside a peer's of the same run.
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

    /// Puts a figure beside a budget that is none of a peer's.
    pub(crate) fn compare_with_budget(&mut self, what: &str, is: f64, at_least: f64) {
        self.ratios.push(Ratio {
            what: what.to_owned(),
            is: is / at_least,
            at_least: 1.0,
        });
    }

    /// Holds a figure to the most that it may be.
    pub(crate) fn below(&mut self, what: &str, is: f64, at_most: f64) {
        self.bounds.push(Bound {
            what: what.to_owned(),
            is,
            at_most,
        });
    }

    /// Whether a figure was beyond its bound.
    pub(crate) fn is_beyond_a_bound(&self) -> bool {
        self.bounds.iter().any(|bound| !bound.is_held())
    }

    /// The last lines of what has bounds and no ratios.
    pub(crate) fn print_bounds(&self) {
        println!("\nbounds (what is the most)");
        for bound in &self.bounds {
            let Bound { what, is, at_most } = bound;
            let held = if bound.is_held() { "held" } else { "MISSED" };
            println!("{what:<60} {is:>10.2}  ({at_most:.2})  {held}");
        }
    }

    /// The last lines.
    pub(crate) fn print_ratios(&self) {
        println!("\nratios (what is to be reached)");
        for Ratio { what, is, at_least } in &self.ratios {
            let reached = if is >= at_least { "reached" } else { "MISSED" };
            println!("{what:<60} {is:>7.2}  ({at_least:.2})  {reached}");
        }
    }
}
