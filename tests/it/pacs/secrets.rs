//! What it takes to log in at an endpoint: in no answer, no event, no log, no read model, and in no file in the open.

use std::path::Path;

use anyhow::Result;
use roentgen_tests::{Client, Database, Engine, Server};
use serde_json::{Value, json};

use super::scene::endpoint;
use crate::story::{fresh, on_both_engines};

on_both_engines!(a_secret_is_nowhere_in_the_open);

/// No two alike, and none that anybody else writes.
const PLANTED: [&str; 5] = [
    "zq-user-11a",
    "zq-password-22b",
    "zq-token-33c",
    "zq-value-44d",
    "zq-refused-55e",
];

/// What is said of endpoints, and what is refused.
fn told() -> [(Value, u16); 6] {
    let [user, password, token, value, refused] = PLANTED;
    [
        (
            json!({ "kind": "basic", "username": user, "password": password }),
            201,
        ),
        (json!({ "kind": "bearer", "token": token }), 201),
        (
            json!({ "kind": "header", "name": "X-Key", "value": value }),
            201,
        ),
        (json!({ "kind": "none", "token": refused }), 422),
        (
            json!({ "kind": "basic", "username": refused, "password": "a\nb" }),
            422,
        ),
        (json!({ "kind": "basic", "pass": refused }), 400),
    ]
}

async fn a_secret_is_nowhere_in_the_open(engine: Engine) -> Result<()> {
    let database = Database::new(engine).await?;
    let traced = Server::spawn(&database, |command| {
        command.env("ROENTGEN_LOG", "trace");
    });
    let server = traced.await?;
    let client = Client::dev(&server.base, fresh());
    for (n, (auth, status)) in told().into_iter().enumerate() {
        let body = endpoint(&format!("E{n}"), json!({ "auth_config": auth }));
        let answer = client.post("/pacs/endpoints", &body).await?;
        assert_eq!(answer.status, status, "{answer:?}");
        nothing_in("an answer", answer.text.as_bytes());
        if status == 201 {
            let (at, same) = (answer.header("location"), json!({ "auth_config": auth }));
            let changed = client.patch(&at, &same).await?;
            nothing_in("an answer", changed.text.as_bytes());
        }
    }
    for path in ["/pacs/endpoints", "/events?phi=true", "/metrics"] {
        let answer = client.get(path).await?;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        nothing_in(path, answer.text.as_bytes());
    }
    let events = client.get("/events").await?.lines();
    assert!(
        events.iter().all(|it| it["data"]["secret_id"].is_string()),
        "{events:?}"
    );
    let log = server.log.clone();
    server.terminate()?;
    nothing_in("the server's log", &std::fs::read(log)?);
    if engine == Engine::Sqlite {
        files_hold_nothing(&database.directory())?;
    }
    Ok(())
}

fn files_hold_nothing(directory: &Path) -> Result<()> {
    let mut seen = 0;
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if path.is_file() {
            nothing_in(&path.display().to_string(), &std::fs::read(&path)?);
            seen += 1;
        }
    }
    assert!(seen >= 3, "log, read models and keys were looked at");
    Ok(())
}

fn nothing_in(what: &str, bytes: &[u8]) {
    for word in PLANTED {
        let there = bytes.windows(word.len()).any(|it| it == word.as_bytes());
        assert!(!there, "{word} is in {what}");
    }
}
