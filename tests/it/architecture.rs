//! Dependencies point in one direction: `domain <- store <- {commands, projections, relay} <- api`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Workspace crates that each workspace crate may depend on. The packages of tests and benchmarks may depend on all.
const MAY_KNOW: [(&str, &[&str]); 6] = [
    ("roentgen-domain", &[]),
    ("roentgen-store", &["roentgen-domain"]),
    ("roentgen-commands", &["roentgen-domain", "roentgen-store"]),
    (
        "roentgen-projections",
        &["roentgen-domain", "roentgen-store"],
    ),
    ("roentgen-relay", &["roentgen-domain", "roentgen-store"]),
    (
        "roentgen-api",
        &[
            "roentgen-domain",
            "roentgen-store",
            "roentgen-commands",
            "roentgen-projections",
            "roentgen-relay",
        ],
    ),
];
const MAY_KNOW_ALL: [&str; 2] = ["roentgen-tests", "roentgen-benches"];

/// Packages that only one workspace crate may name in its manifest.
const ONLY: [(&str, &str); 7] = [
    ("sqlx", "roentgen-store"),
    ("async-nats", "roentgen-relay"),
    ("axum", "roentgen-api"),
    ("hyper", "roentgen-api"),
    ("hyper-util", "roentgen-api"),
    ("tower", "roentgen-api"),
    ("http", "roentgen-api"),
];

/// Packages that these crates must not depend on, directly or transitively.
const NEVER: [(&str, &[&str]); 5] = [
    (
        "roentgen-domain",
        &[
            "tokio",
            "axum",
            "hyper",
            "sqlx",
            "sqlx-core",
            "async-nats",
            "cqrs-es",
            "rand",
            "reqwest",
        ],
    ),
    ("roentgen-store", &["axum", "hyper", "async-nats"]),
    (
        "roentgen-commands",
        &["axum", "hyper", "async-nats", "roentgen-projections"],
    ),
    (
        "roentgen-projections",
        &["axum", "hyper", "async-nats", "roentgen-commands"],
    ),
    (
        "roentgen-relay",
        &["axum", "hyper", "roentgen-commands", "roentgen-projections"],
    ),
];

fn metadata() -> Result<Metadata> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = MetadataCommand::new();
    command
        .manifest_path(manifest)
        .other_options(["--locked".to_owned()]);
    Ok(command.exec()?)
}

/// Returns the packages that a member's manifest names for its code, excluding its tests.
fn named(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let of = |package: &&cargo_metadata::Package| {
        let normal = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development);
        (
            package.name.to_string(),
            normal.map(|dependency| dependency.name.clone()).collect(),
        )
    };
    metadata.workspace_packages().iter().map(of).collect()
}

#[test]
fn our_crates_know_each_other_one_way_only() -> Result<()> {
    let named = named(&metadata()?);
    for (package, dependencies) in &named {
        if MAY_KNOW_ALL.contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) = MAY_KNOW
            .iter()
            .find(|(text, _)| text == package)
            .with_context(|| format!("{package} is not in the table"))?;
        let ours = dependencies
            .iter()
            .filter(|dependency| dependency.starts_with("roentgen-"));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{package} knows {dependency}"
            );
        }
    }
    Ok(())
}

#[test]
fn sql_and_http_have_one_home_each() -> Result<()> {
    for (package, dependencies) in named(&metadata()?) {
        for (dependency, home) in ONLY {
            let apart = package == home || MAY_KNOW_ALL.contains(&package.as_str());
            assert!(
                apart || !dependencies.contains(dependency),
                "{package} names {dependency}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_domain_reaches_nothing_of_the_outside() -> Result<()> {
    let metadata = metadata()?;
    for (package, never) in NEVER {
        let reached = reached(&metadata, package)?;
        assert!(reached.contains("serde"), "{package}: {reached:?}");
        for outside in never {
            assert!(!reached.contains(*outside), "{package} reaches {outside}");
        }
    }
    Ok(())
}

/// Returns every package that this one is built with.
fn reached(metadata: &Metadata, package: &str) -> Result<BTreeSet<String>> {
    let graph = metadata.resolve.as_ref().context("no graph")?;
    let nodes: BTreeMap<&PackageId, _> = graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata
        .packages
        .iter()
        .find(|value| value.name == package)
        .context("no such package")?;
    let mut reached = BTreeSet::new();
    let mut unseen = vec![&start.id];
    while let Some(id) = unseen.pop() {
        if !reached.insert(id) {
            continue;
        }
        let dependencies = nodes
            .get(id)
            .map(|node| node.deps.as_slice())
            .unwrap_or_default();
        let built_with = dependencies.iter().filter(|dep| {
            dep.dep_kinds
                .iter()
                .any(|info| info.kind != DependencyKind::Development)
        });
        unseen.extend(built_with.map(|dep| &dep.pkg));
    }
    Ok(reached
        .into_iter()
        .map(|id| metadata[id].name.to_string())
        .collect())
}
