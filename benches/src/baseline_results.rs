//! Parses the output of the baselines: `peer <name> writers=<n> per_second=<x> p50_ms=<x> p99_ms=<x>`.

use std::path::Path;

use anyhow::Context as _;

#[derive(Debug)]
struct Peer {
    name: String,
    writers: usize,
    per_second: f64,
}

/// Rates of the baselines.
#[derive(Debug, Default)]
pub(crate) struct BaselineResults(Vec<Peer>);

impl BaselineResults {
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self(text.lines().filter_map(parse).collect()))
    }

    pub(crate) fn per_second(&self, name: &str, writers: usize) -> Option<f64> {
        let found = self
            .0
            .iter()
            .find(|peer| peer.name == name && peer.writers == writers);
        found.map(|peer| peer.per_second)
    }
}

fn parse(line: &str) -> Option<Peer> {
    let mut words = line.strip_prefix("peer ")?.split(' ');
    let name = words.next()?.to_owned();
    let mut value = |key: &str| {
        words
            .next()?
            .strip_prefix(key)?
            .strip_prefix('=')?
            .parse()
            .ok()
    };
    let writers: f64 = value("writers")?;
    let per_second = value("per_second")?;
    Some(Peer {
        name,
        writers: writers as usize,
        per_second,
    })
}
