//! Credentials of PACS endpoints and AI models: they are in no response, event, log, metric, read model or document,
//! and the database contains them only as encrypted secrets.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use roentgen_domain::ids::SecretId;
use roentgen_tests::{EngineKind, TestClient, TestResponse};
use serde_json::{Value, json};

use super::fixtures::endpoint;
use crate::faults::run;
use crate::leak_scan::{assert_absent, assert_present, dump_storage};
use crate::read_model_audit::{OfflineDatabase, assert_match_log};
use crate::test_app::{TestApp, on_both_engines, with};

on_both_engines!(a_secret_is_nowhere_in_the_open);

/// Resource with secrets, and how they are sent.
struct SecretOwner {
    name: &'static str,
    at: &'static str,
    auth: fn(Value) -> Value,
}

const KEEPERS: [SecretOwner; 2] = [
    SecretOwner {
        name: "pacs",
        at: "/pacs/endpoints",
        auth: |auth| json!({ "auth_config": auth }),
    },
    SecretOwner {
        name: "ai",
        at: "/imaging-ai/models",
        auth: |auth| json!({ "endpoint_config": { "url": "https://ai.example/v1", "auth": auth } }),
    },
];

const KINDS: usize = 3;
/// Text that is not secret, which the scan must find.
const OPEN: &str = "zq-open-s3c";

impl SecretOwner {
    /// Returns a canary that is unique to this resource and member.
    fn word(&self, said: &str) -> String {
        format!("zq-{}-{said}-s3c", self.name)
    }

    /// Returns credentials of each kind.
    fn kinds(&self, round: &str) -> [Value; KINDS] {
        let word = |member: &str| self.word(&format!("{round}-{member}"));
        [
            json!({ "kind": "basic", "username": word("user"), "password": word("password") }),
            json!({ "kind": "bearer", "token": word("token") }),
            json!({ "kind": "header", "name": word("name"), "value": word("value") }),
        ]
    }

    fn words(&self, round: &str) -> impl Iterator<Item = String> {
        let members = ["user", "password", "token", "name", "value"];
        members
            .map(|member| self.word(&format!("{round}-{member}")))
            .into_iter()
    }

    fn refused(&self) -> [(Value, u16); 4] {
        let refused = self.word("refused");
        [
            (json!({ "kind": "none", "token": refused }), 422),
            (json!({ "kind": refused }), 422),
            (
                json!({ "kind": "basic", "username": refused, "password": "a\nb" }),
                422,
            ),
            (json!({ "kind": "basic", "pass": refused }), 400),
        ]
    }

    fn one_more(&self, n: usize, auth: Value) -> Value {
        let body = match self.name {
            "pacs" => endpoint(&format!("E{n}"), json!({})),
            _ => json!({ "code": format!("M{n}"), "capabilities": { "triage": true } }),
        };
        with(with(body, json!({ "name": OPEN })), (self.auth)(auth))
    }
}

/// Returns the canaries of the accepted secrets.
fn kept() -> BTreeSet<String> {
    let rounds = ["first", "later"];
    let words =
        |keeper: &'static SecretOwner| rounds.into_iter().flat_map(|round| keeper.words(round));
    KEEPERS.iter().flat_map(words).collect()
}

fn planted() -> Vec<String> {
    let refused = KEEPERS.iter().map(|owner| owner.word("refused"));
    kept().into_iter().chain(refused).collect()
}

async fn a_secret_is_nowhere_in_the_open(engine: EngineKind) -> Result<()> {
    let house = TestApp::open_with(engine, &["--dev", "--log", "trace"]).await?;
    for keeper in &KEEPERS {
        told(&house.client, keeper).await?;
        refused(&house.client, keeper).await?;
        let list = house.client.get(keeper.at).await?;
        assert_eq!(list.ids().len(), KINDS, "{list:?}");
        shows_nothing(&list, 200)?;
    }
    for path in ["/events", "/events?phi=true", "/metrics", "/openapi.json"] {
        shows_nothing(&house.client.get(path).await?, 200)?;
    }
    assert_match_log(&house.database).await?;
    are_under_seal(&house).await?;
    are_in_no_export(&house)?;

    let nowhere = planted();
    let scanned = |stored: &[u8]| {
        assert_present(&[OPEN], "the database", stored)?;
        assert_absent(&nowhere, "the database", stored)
    };
    scanned(&dump_storage(&house.database)?)?;
    let log = house.server.log.clone();
    house.server.terminate()?;
    scanned(&dump_storage(&house.database)?)?;
    assert_absent(&nowhere, "the server's log", &std::fs::read(log)?)
}

/// Creates, reads and changes a resource with credentials of each kind.
async fn told(client: &TestClient, keeper: &SecretOwner) -> Result<()> {
    let first = keeper.kinds("first");
    let later = keeper.kinds("later");
    for (n, (auth, changed)) in first.into_iter().zip(later).enumerate() {
        let kind = auth["kind"].as_str().unwrap_or_default().to_owned();
        let created = client.post(keeper.at, &keeper.one_more(n, auth)).await?;
        shows_nothing(&created, 201)?;
        let place = created.header("location");
        let patched = client.patch(&place, &(keeper.auth)(changed)).await?;
        shows_nothing(&patched, 200)?;
        assert_eq!(patched.header("etag"), "\"2\"", "{patched:?}");
        for path in [
            place.clone(),
            format!("{place}?as_of={}", created.header("log-position")),
        ] {
            let read = client.get(&path).await?;
            shows_nothing(&read, 200)?;
            assert!(
                read.text.contains(&format!(r#""kind":"{kind}""#)),
                "{read:?}"
            );
        }
    }
    Ok(())
}

async fn refused(client: &TestClient, keeper: &SecretOwner) -> Result<()> {
    let there = client.get(keeper.at).await?.ids();
    let there = format!(
        "{}/{}",
        keeper.at,
        there.first().context("nothing is there")?
    );
    for (auth, status) in keeper.refused() {
        let new = client
            .post(keeper.at, &keeper.one_more(KINDS, auth.clone()))
            .await?;
        shows_nothing(&new, status)?;
        let changed = client.patch(&there, &(keeper.auth)(auth)).await?;
        shows_nothing(&changed, status)?;
    }
    Ok(())
}

/// Only NDJSON is scanned: a Parquet file has the same rows, compressed.
fn are_in_no_export(house: &TestApp) -> Result<()> {
    let exported = run(&house.database, &["export", "--format", "ndjson"])?;
    ensure!(exported.code == Some(0), "{}", exported.printed);
    let exported = exported.printed.as_bytes();
    assert_present(&["PACSEndpoint.Created"], "an export", exported)?;
    assert_absent(&planted(), "an export", exported)
}

fn shows_nothing(answer: &TestResponse, status: u16) -> Result<()> {
    ensure!(answer.status == status, "{answer:?}");
    assert_absent(&planted(), "an answer", format!("{answer:?}").as_bytes())
}

/// Checks that the secrets named by events decrypt to exactly the accepted canaries.
async fn are_under_seal(house: &TestApp) -> Result<()> {
    let beside = OfflineDatabase::open(&house.database).await?;
    let mut found = BTreeSet::new();
    let events = house.client.get("/events?limit=5000").await?.lines();
    let ids = events.iter().filter_map(|event| secret_of(&event["data"]));
    for id in ids.collect::<Result<Vec<SecretId>>>()? {
        let secret = beside.secrets.get(house.tenant.into(), id).await?;
        let secret = secret.with_context(|| format!("there is no secret {id}"))?;
        let text = String::from_utf8_lossy(secret.expose()).into_owned();
        found.extend(kept().into_iter().filter(|value| text.contains(value)));
    }
    beside.close().await;
    assert_eq!(found, kept());
    Ok(())
}

fn secret_of(data: &Value) -> Option<Result<SecretId>> {
    let id = data
        .get("secret_id")
        .or_else(|| data.pointer("/endpoint_config/auth/secret_id"))?;
    Some(serde_json::from_value(id.clone()).map_err(Into::into))
}
