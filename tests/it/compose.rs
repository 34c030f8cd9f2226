//! docker-compose.yml and its files: no service has more rights than it needs, none is without limits, and every image
//! is pinned or documented as not pinned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use yaml_rust2::{Yaml, YamlLoader};

/// Settings that make a superuser in PostgreSQL's image.
const SUPERUSERS: [&str; 2] = ["postgres:${POSTGRES_PASSWORD", "${POSTGRES_USER"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(name: &str) -> Result<String> {
    std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())
}

fn compose() -> Result<Yaml> {
    let documents = YamlLoader::load_from_str(&file("docker-compose.yml")?)?;
    documents.into_iter().next().context("no document")
}

fn services() -> Result<BTreeMap<String, Yaml>> {
    let document = compose()?;
    let services = document["services"].as_hash().context("no services")?;
    let named = services.iter().map(|(name, service)| {
        let name = name.as_str().context("a service without a name")?;
        Ok((name.to_owned(), service.clone()))
    });
    named.collect()
}

fn service(name: &str) -> Result<Yaml> {
    services()?
        .remove(name)
        .with_context(|| format!("no {name}"))
}

fn texts(list: &Yaml) -> Vec<&str> {
    let items = list.as_vec().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Yaml::as_str).collect()
}

fn environment<'y>(service: &'y Yaml, name: &str) -> &'y str {
    service["environment"][name].as_str().unwrap_or_default()
}

#[test]
fn every_service_is_confined_and_limited() -> Result<()> {
    for (name, service) in services()? {
        let told = |what: &str| format!("{name}: {what}");
        ensure!(
            service["read_only"].as_bool() == Some(true),
            told("read_only")
        );
        ensure!(texts(&service["cap_drop"]) == ["ALL"], told("cap_drop"));
        ensure!(service["cap_add"].is_badvalue(), told("cap_add"));
        ensure!(service["privileged"].is_badvalue(), told("privileged"));
        let options = texts(&service["security_opt"]);
        ensure!(options == ["no-new-privileges:true"], told("security_opt"));
        ensure!(service["mem_limit"].as_str().is_some(), told("mem_limit"));
        ensure!(service["cpus"].as_i64().is_some(), told("cpus"));
        ensure!(service["pids_limit"].as_i64().is_some(), told("pids_limit"));
        let ends = service["restart"].as_str() == Some("no");
        let is_checked = service["healthcheck"].as_hash().is_some();
        ensure!(ends != is_checked, told("healthcheck"));
        for port in texts(&service["ports"]) {
            ensure!(port.starts_with("127.0.0.1:"), told(port));
        }
    }
    Ok(())
}

#[test]
fn the_server_owns_nothing_and_the_owner_only_migrates() -> Result<()> {
    let server = service("roentgen")?;
    let migration = service("migrate")?;
    let url = |service: &Yaml| environment(service, "ROENTGEN_DATABASE").to_owned();
    ensure!(
        url(&server).starts_with("postgres://roentgen_app:"),
        "{}",
        url(&server)
    );
    ensure!(
        url(&migration).starts_with("postgres://roentgen_owner:"),
        "{}",
        url(&migration)
    );
    ensure!(
        texts(&server["command"]).contains(&"--no-migrate"),
        "{server:?}"
    );
    ensure!(texts(&migration["command"]) == ["migrate"], "{migration:?}");
    let waits = |on: &str| {
        server["depends_on"][on]["condition"]
            .as_str()
            .map(str::to_owned)
    };
    for once in ["migrate", "event-key"] {
        ensure!(
            waits(once).as_deref() == Some("service_completed_successfully"),
            "{once}"
        );
    }
    for (name, service) in services()? {
        let text = format!("{service:?}");
        let is_superuser = SUPERUSERS.iter().any(|user| text.contains(user));
        ensure!(!is_superuser, "{name} works as the superuser");
    }
    Ok(())
}

/// Through a published port every client has the address of the network's gateway.
#[test]
fn the_gateway_of_the_network_is_a_trusted_proxy() -> Result<()> {
    let document = compose()?;
    let network = &document["networks"]["default"]["ipam"]["config"][0];
    let text = |name: &str| network[name].as_str().map(str::to_owned);
    let gateway = text("gateway").context("no gateway")?;
    let subnet = text("subnet").context("no subnet")?;
    let prefix = gateway.strip_suffix('1').context("another gateway")?;
    ensure!(subnet == format!("{prefix}0/24"), "{gateway} of {subnet}");
    let server = service("roentgen")?;
    let trusted = environment(&server, "ROENTGEN_TRUSTED_PROXY");
    ensure!(trusted == gateway, "{trusted} is trusted, not {gateway}");
    Ok(())
}

#[test]
fn nobody_enters_nats_without_a_password() -> Result<()> {
    let server = service("roentgen")?;
    let nats = service("nats")?;
    let url = environment(&server, "ROENTGEN_NATS");
    ensure!(
        url.starts_with("nats://roentgen:${NATS_SERVER_PASSWORD:?"),
        "{url}"
    );
    ensure!(
        texts(&nats["command"]) == ["--config", "/etc/nats/nats.conf"],
        "{nats:?}"
    );
    let mounted = texts(&nats["volumes"]);
    ensure!(
        mounted.contains(&"./docker/nats.conf:/etc/nats/nats.conf:ro"),
        "{mounted:?}"
    );
    for name in ["NATS_SERVER_PASSWORD", "NATS_CONSUMER_PASSWORD"] {
        let value = environment(&nats, name);
        let is_quoted = value.starts_with("\"${") && value.ends_with("}\"");
        ensure!(is_quoted && value.contains(":?"), "{name}: {value}");
    }
    Ok(())
}

/// .env.example has exactly the variables that Compose reads.
#[test]
fn the_example_of_the_environment_has_every_variable() -> Result<()> {
    let text = file("docker-compose.yml")?;
    let mut asked: Vec<_> = text
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split(':').next())
        .collect();
    asked.sort_unstable();
    asked.dedup();
    let example = file(".env.example")?;
    let mut given: Vec<_> = example
        .lines()
        .filter_map(|line| line.strip_suffix('='))
        .collect();
    given.sort_unstable();
    assert_eq!(asked, given);
    Ok(())
}

#[test]
fn every_image_is_pinned_or_said_not_to_be() -> Result<()> {
    let list = file("docker/images.txt")?;
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let known: BTreeMap<_, _> = lines.filter_map(|line| line.split_once(' ')).collect();
    let mut used = Vec::new();
    for (_, service) in services()? {
        used.extend(service["image"].as_str().map(str::to_owned));
    }
    let dockerfile = file("Dockerfile")?;
    let from = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "));
    used.extend(
        from.filter_map(|rest| rest.split(' ').next())
            .map(str::to_owned),
    );
    ensure!(used.len() == known.len(), "{used:?}");
    for image in used {
        let (tag, digest) = image.split_once('@').unwrap_or((&image, "not-pinned"));
        match known.get(tag) {
            Some(said) => ensure!(*said == digest, "{image} is said to be {said}"),
            None => bail!("{image} is not in docker/images.txt"),
        }
    }
    let check = Command::new(root().join("scripts/pin-images"))
        .arg("--check")
        .output()?;
    let all = !list.contains(" not-pinned");
    ensure!(check.status.success() == all, "{check:?}");
    Ok(())
}
