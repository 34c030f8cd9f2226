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

/// Crates whose top-level modules depend on each other in one direction only.
const WITHOUT_CYCLES: [&str; 5] = ["domain", "store", "commands", "projections", "relay"];

#[test]
fn modules_of_a_crate_have_no_cycle() -> Result<()> {
    for package in WITHOUT_CYCLES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(package)
            .join("src");
        let mut known = module_graph(&source)?;
        assert!(known.len() > 1, "{package} has no modules");
        // Modules that know only modules without cycles are taken away until none is left.
        loop {
            let left: BTreeSet<String> = known.keys().cloned().collect();
            let before = known.len();
            known.retain(|_, names| !names.is_disjoint(&left));
            if known.len() == before {
                break;
            }
        }
        let within: BTreeSet<String> = known.keys().cloned().collect();
        for names in known.values_mut() {
            names.retain(|name| within.contains(name));
        }
        assert!(
            known.is_empty(),
            "modules of {package} on or above a cycle: {known:#?}"
        );
    }
    Ok(())
}

/// Returns the other top-level modules that each top-level module of a crate names, excluding tests.
fn module_graph(source: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut graph = BTreeMap::new();
    for entry in std::fs::read_dir(source)? {
        let path = entry?.path();
        let module = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("a name")?
            .to_owned();
        if module == "lib" {
            continue;
        }
        let mut names = BTreeSet::new();
        collect_modules(&path, &mut names)?;
        names.remove(&module);
        graph
            .entry(module)
            .or_insert_with(BTreeSet::new)
            .append(&mut names);
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for names in graph.values_mut() {
        names.retain(|name| modules.contains(name));
    }
    Ok(graph)
}

fn collect_modules(path: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    if matches!(stem, Some("tests" | "test_support")) {
        return Ok(());
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            collect_modules(&entry?.path(), names)?;
        }
        return Ok(());
    }
    if path.extension().is_some_and(|extension| extension == "rs") {
        let text = std::fs::read_to_string(path)?;
        let code = text
            .split("\n#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default();
        let code: Vec<&str> = code
            .lines()
            .filter_map(|line| line.split("//").next())
            .collect();
        names.extend(named_modules(&code.join("\n")));
    }
    Ok(())
}

/// Returns the modules behind each `crate::`, also those of a list in braces.
fn named_modules(code: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = Vec::new();
    for behind in code.split("crate::").skip(1) {
        let Some(list) = behind.strip_prefix('{') else {
            found.push(identifier(behind));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for sign in list.chars() {
            match sign {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => found.push(identifier(&std::mem::take(&mut item))),
                _ => item.push(sign),
            }
            if depth == 0 {
                break;
            }
        }
        found.push(identifier(&item));
    }
    found
}
