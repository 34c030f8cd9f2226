//! `docs/asyncapi.yaml`: the published messages as AsyncAPI 3.0. It is generated from the event types and the event
//! sample of each, and every message of the demo is validated against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use roentgen_domain::aggregate::{Aggregate, DomainEvent as _};
use roentgen_domain::ai_model::AiModel;
use roentgen_domain::ai_task::AiTask;
use roentgen_domain::caseload::Caseload;
use roentgen_domain::modality::Modality;
use roentgen_domain::order::Order;
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::procedure::Procedure;
use roentgen_domain::reading_profile::ReadingProfile;
use roentgen_domain::report::Report;
use roentgen_domain::report_template::ReportTemplate;
use roentgen_domain::study::Study;
use roentgen_domain::study_access::StudyAccess;
use roentgen_domain::worklist_item::WorklistItem;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, Nats, TestDatabase};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Environment variable; if set to `always`, the file is written before it is compared.
const UPDATE: &str = "INSTA_UPDATE";

#[test]
fn the_description_is_that_of_the_event_types() -> Result<()> {
    let path = root().join("docs/asyncapi.yaml");
    let mut text = "# Made by tests/it/relay/asyncapi.rs from the event types: INSTA_UPDATE=always writes it anew.\n"
        .to_owned();
    yaml(&mut text, &description()?, 0)?;
    if std::env::var(UPDATE).is_ok_and(|text| text == "always") {
        std::fs::write(&path, &text)?;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    ensure!(
        written == text,
        "docs/asyncapi.yaml is not what the event types say: INSTA_UPDATE=always writes it anew"
    );
    Ok(())
}

/// The demo runs both workflows of the contract: most event types, with most of their members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_demo_publishes_is_as_described() -> Result<()> {
    let nats = Nats::start().await?;
    let database = TestDatabase::new(EngineKind::Sqlite).await?;
    let mut demo = program(&database);
    demo.args(["demo", "--once", "--dev", "--nats", &nats.url()]);
    let ran = tokio::task::spawn_blocking(move || demo.output()).await??;
    ensure!(ran.status.success(), "{}", String::from_utf8(ran.stdout)?);
    // The next server publishes what the demo had no time to publish.
    let _server =
        roentgen_tests::Server::start(&database, &["--dev", "--nats", &nats.url()]).await?;
    let messages = super::holds_the_log(&nats, &database).await?;
    let description = description()?;
    let mut validators = BTreeMap::new();
    for message in &messages {
        let kind = message.header("ce-type").to_owned();
        let described = &description["components"]["messages"][&kind];
        ensure!(described.is_object(), "{kind} is not described");
        if !validators.contains_key(&kind) {
            let body = jsonschema::validator_for(&closed(&described["payload"]))?;
            validators.insert(kind.clone(), body);
        }
        let validator = validators.get(&kind).context("just made")?;
        if let Err(error) = validator.validate(&message.json()) {
            anyhow::bail!("{kind}: {error} at {}", error.instance_path());
        }
        let headers = jsonschema::validator_for(&description["components"]["schemas"]["Headers"])?;
        let sent: Map<String, Value> = message
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        ensure!(headers.is_valid(&Value::Object(sent)), "{message:?}");
    }
    ensure!(validators.len() > 20, "too few types to prove anything");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns every event type with its schema version.
fn types() -> Vec<(&'static str, u32)> {
    fn of<A: Aggregate>() -> &'static [(&'static str, u32)] {
        A::Event::EVENT_TYPES
    }
    let mut types = [
        of::<Modality>(),
        of::<Procedure>(),
        of::<Order>(),
        of::<ReadingProfile>(),
        of::<WorklistItem>(),
        of::<Caseload>(),
        of::<AiModel>(),
        of::<AiTask>(),
        of::<ReportTemplate>(),
        of::<Report>(),
        of::<PacsEndpoint>(),
        of::<Study>(),
        of::<StudyAccess>(),
    ]
    .concat();
    types.sort_unstable();
    types
}

fn description() -> Result<Value> {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for (kind, version) in types() {
        channels.insert(kind.to_owned(), channel(kind));
        operations.insert(format!("publish.{kind}"), operation(kind));
        messages.insert(kind.to_owned(), message(kind, version)?);
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Roentgen events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every event of the log, once and in position order, in the JetStream stream \
                ROENTGEN_EVENTS: CloudEvents 1.0 in binary mode. PHI is not in it: who may see it reads the \
                resource from the API. Members may be added; consumers pass over what they do not know.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": { "host": "127.0.0.1:4222", "protocol": "nats", "description": "NATS server, see --nats" },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "parameters": { "tenant_id": { "description": "Tenant id (UUID)" } },
            "schemas": { "Headers": headers() },
        },
    }))
}

fn channel(kind: &str) -> Value {
    json!({
        "address": format!("roentgen.events.{{tenant_id}}.{kind}"),
        "parameters": { "tenant_id": { "$ref": "#/components/parameters/tenant_id" } },
        "messages": { kind: { "$ref": format!("#/components/messages/{kind}") } },
    })
}

fn operation(kind: &str) -> Value {
    json!({ "action": "send", "channel": { "$ref": format!("#/channels/{kind}") } })
}

fn message(kind: &str, version: u32) -> Result<Value> {
    let room = root().join("domain/tests/events").join(kind);
    let mut exhibit = Value::Null;
    let mut payload = json!({ "properties": {} });
    let begun = known_members(kind)?;
    for version in 1..=version {
        let text = std::fs::read_to_string(room.join(format!("v{version}.json")))?;
        exhibit = serde_json::from_str(&text)?;
        add_example(&mut payload, &exhibit["data"], &begun);
    }
    let sealed = exhibit.get("phi").and_then(Value::as_object);
    let sealed: Vec<&str> = sealed
        .into_iter()
        .flat_map(|sealed| sealed.keys().map(String::as_str))
        .collect();
    let summary = match sealed.as_slice() {
        [] => "Contains no PHI.".to_owned(),
        members => format!("PHI, which is not in the message: {}.", members.join(", ")),
    };
    Ok(json!({
        "name": kind,
        "summary": summary,
        "headers": { "$ref": "#/components/schemas/Headers" },
        "payload": payload,
        "examples": [{ "payload": exhibit["data"] }],
        "x-schema-version": version,
    }))
}

fn headers() -> Value {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let number = json!({ "type": "string", "pattern": "^[1-9][0-9]*$" });
    json!({
        "type": "object",
        "required": [
            "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-datacontenttype",
            "ce-tenantid", "ce-position", "ce-streamversion", "ce-schemaversion", "ce-phi", "ce-correlationid",
            "ce-signature", "Nats-Msg-Id",
        ],
        "properties": {
            "ce-specversion": { "type": "string", "const": "1.0" },
            "ce-id": uuid,
            "ce-source": { "type": "string", "const": "/roentgen" },
            "ce-type": { "type": "string", "description": "Event type" },
            "ce-subject": { "type": "string", "description": "`<stream type>/<stream id>`" },
            "ce-time": { "type": "string", "format": "date-time", "description": "Time the event was recorded" },
            "ce-datacontenttype": { "type": "string", "const": "application/json" },
            "ce-tenantid": uuid,
            "ce-position": with(&number, "Log position, gapless from 1; equals the stream sequence"),
            "ce-streamversion": with(&number, "Stream version, gapless from 1"),
            "ce-schemaversion": with(&number, "Schema version of the payload"),
            "ce-phi": { "type": "string", "enum": ["open", "sealed"], "description": "sealed if PHI was removed, \
                otherwise open" },
            "ce-correlationid": uuid,
            "ce-causationid": with(&uuid, "Id of the causing event, if any"),
            "ce-signature": {
                "type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]{86}==$",
                "description": "Ed25519 over five lines with a line feed between: roentgen.event.1, ce-id, ce-position, \
                                ce-type, and the SHA-256 of the body in lower-case hexadecimal. roentgen event-key \
                                prints the public key"
            },
            "Nats-Msg-Id": with(&uuid, "ce-id again"),
        },
    })
}

fn with(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    schema["description"] = description.into();
    schema
}

/// Returns the members of the first event of this type's stream: an update that removes a member does not show its
/// type.
fn known_members(kind: &str) -> Result<Value> {
    let stream = kind.split('.').next().unwrap_or_default();
    let first = root()
        .join("domain/tests/events")
        .join(format!("{stream}.Created/v1.json"));
    match std::fs::read_to_string(first) {
        Ok(text) => Ok(schema(&serde_json::from_str::<Value>(&text)?["data"])),
        Err(_) => Ok(json!({ "properties": {} })),
    }
}

/// Extends the schema to objects like this example. A member that is null here and has a known type may be either.
fn add_example(object: &mut Value, example: &Value, begun: &Value) {
    let mut described = schema(example);
    let members = described["properties"].as_object_mut();
    for (name, member) in members.into_iter().flatten() {
        let known = match object["properties"].get(name) {
            Some(known) => known,
            None => &begun["properties"][name],
        };
        let is_null = example[name.as_str()].is_null();
        *member = match known.get("type") {
            Some(Value::String(one)) if is_null => with_type(known, json!([one, "null"])),
            Some(_) if is_null => known.clone(),
            Some(_) | None => member.clone(),
        };
    }
    if let (Some(known), Some(members)) = (
        object["properties"].as_object().cloned(),
        described["properties"].as_object_mut(),
    ) {
        for (name, member) in known {
            members.entry(name).or_insert(member);
        }
    }
    *object = described;
}

fn with_type(schema: &Value, kind: Value) -> Value {
    let mut schema = schema.clone();
    schema["type"] = kind;
    schema
}

/// Returns the schema of an example value.
fn schema(example: &Value) -> Value {
    match example {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_f64() => json!({ "type": "number" }),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::String(text) if Uuid::parse_str(text).is_ok() => {
            json!({ "type": "string", "format": "uuid" })
        }
        Value::String(text) if is_time(text) => json!({ "type": "string", "format": "date-time" }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Array(items) => match items.first() {
            Some(first) => json!({ "type": "array", "items": schema(first) }),
            None => json!({ "type": "array" }),
        },
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.clone(), schema(member)));
            json!({ "type": "object", "properties": members.collect::<Map<_, _>>() })
        }
    }
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T')
}

/// Returns the schema with unknown members rejected at the top level; nested objects may have any keys.
fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    schema["additionalProperties"] = false.into();
    schema
}

/// Writes JSON as block YAML; scalars stay JSON, which is valid YAML.
fn yaml(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            for (name, item) in members {
                let plain = name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
                let name = if plain {
                    name.clone()
                } else {
                    format!("{name:?}")
                };
                write!(out, "{indent}{name}:")?;
                nested(out, item, depth + 1)?;
            }
        }
        Value::Array(items) => {
            for item in items {
                write!(out, "{indent}-")?;
                nested(out, item, depth + 1)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            writeln!(out, "{indent}{value}")?;
        }
    }
    Ok(())
}

fn nested(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    let is_block = value.as_object().is_some_and(|object| !object.is_empty())
        || value.as_array().is_some_and(|values| !values.is_empty());
    if !is_block {
        writeln!(out, " {value}")?;
        return Ok(());
    }
    out.push('\n');
    yaml(out, value, depth)
}
