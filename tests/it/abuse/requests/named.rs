//! A rejection names known fields and parameters, and never what was sent: that could be PHI.

use anyhow::Result;
use reqwest::Method;
use roentgen_tests::EngineKind;
use serde_json::json;

use super::{Callers, paths};
use crate::assertions::pointers;
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(
    no_route_repeats_an_unknown_parameter_or_member,
    no_object_within_a_body_repeats_one_either,
    the_nearest_known_name_is_told,
);

/// Unknown names, some with characters that an error parser could misread.
const WORDS: [&str; 4] = [
    "zyxwombat",
    "zyx`wombat",
    "zyx~/wombat",
    "zyx`, expected `wombat",
];

async fn no_route_repeats_an_unknown_parameter_or_member(engine: EngineKind) -> Result<()> {
    let callers = Callers::open(engine).await?;
    for (method, path) in paths(&["GET", "POST", "PATCH", "PUT"]) {
        let caller = callers.client_for(&path);
        for word in WORDS {
            let query = serde_urlencoded::to_string([(word, word)])?;
            let asked = format!("{path}?{query}");
            let by_query = caller.send(method.clone(), &asked, Vec::new()).await?;
            says_nothing_of_it(&by_query.text, &asked);
            if method == Method::GET {
                continue;
            }
            let body = json!({ word: word }).to_string();
            let by_body = caller.send(method.clone(), &path, body.into()).await?;
            assert_eq!(by_body.code(), "invalid_body", "{asked}: {by_body:?}");
            assert_eq!(pointers(&by_body), [""], "{asked}: {by_body:?}");
            says_nothing_of_it(&by_body.text, &asked);
        }
    }
    Ok(())
}

async fn no_object_within_a_body_repeats_one_either(engine: EngineKind) -> Result<()> {
    let callers = Callers::open(engine).await?;
    for word in WORDS {
        let commands = WITHIN.iter().map(|(method, path, body)| {
            let path = path.replace("ID", &fresh().to_string());
            let body = body.replace("ID", &fresh().to_string());
            let odd = json!({ word: word }).to_string();
            (method, path, body.replace("ODD", &odd))
        });
        for (method, path, body) in commands {
            let asked = format!("{method} {path} {body}");
            let sent = callers.all.send(method.parse()?, &path, body.into());
            let answer = sent.await?;
            assert!((400..500).contains(&answer.status), "{asked}: {answer:?}");
            says_nothing_of_it(&answer.text, &asked);
        }
    }
    Ok(())
}

/// Bodies with a nested object: ODD is replaced by an object with an unknown name, ID by any id.
const WITHIN: [(&str, &str, &str); 14] = [
    ("POST", "/imaging/orders", r#"{"patient":ODD}"#),
    ("POST", "/pacs/endpoints", r#"{"auth_config":ODD}"#),
    ("POST", "/pacs/studies/sync", r#"{"series":[ODD]}"#),
    (
        "POST",
        "/pacs/studies/sync",
        r#"{"series":[{"instances":[ODD]}]}"#,
    ),
    ("POST", "/radiology/templates", r#"{"schema":{"type":ODD}}"#),
    ("POST", "/radiology/templates", r#"{"default_text":ODD}"#),
    ("POST", "/imaging-ai/models", r#"{"capabilities":ODD}"#),
    ("POST", "/imaging-ai/models", r#"{"endpoint_config":ODD}"#),
    (
        "POST",
        "/imaging-ai/models",
        r#"{"endpoint_config":{"auth":ODD}}"#,
    ),
    (
        "POST",
        "/imaging-ai/outputs",
        r#"{"imaging_ai_task_id":"ID","output_type":"quality","payload":ODD}"#,
    ),
    (
        "PATCH",
        "/radiology/worklist/items/ID",
        r#"{"ai_triage_flags":ODD}"#,
    ),
    ("PATCH", "/radiology/reports/ID", r#"{"sections":[ODD]}"#),
    (
        "POST",
        "/radiology/reports/ID/addenda",
        r#"{"content":ODD}"#,
    ),
    (
        "POST",
        "/radiology/reports/ID/sign",
        r#"{"communication":ODD}"#,
    ),
];

fn says_nothing_of_it(answer: &str, asked: &str) {
    assert!(!answer.contains("wombat"), "{asked}: {answer}");
    assert!(!answer.contains("zyx"), "{asked}: {answer}");
}

async fn the_nearest_known_name_is_told(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    let near = |name: &str| format!("did you mean {name}?");
    let orders = "/imaging/orders";
    for (query, told) in [
        ("statsu=x", near("status")),
        ("patient=x", near("patient_id")),
        ("limt=1", near("limit")),
        ("tenant=x", near("tenant_id")),
        ("zyxwombat=1", "known are tenant_id, ".to_owned()),
    ] {
        let refused = house.client.get(&format!("{orders}?{query}")).await?;
        assert_eq!(refused.code(), "invalid_parameter", "{refused:?}");
        assert_eq!(pointers(&refused), ["?"], "{refused:?}");
        let detail = refused.text_at("/errors/0/detail");
        assert!(detail.contains(&told), "{told} is not in {detail}");
        assert!(refused.text_at("/detail").contains(&told), "{refused:?}");
    }
    for (members, at, told) in [
        (json!({ "indicaton": "x" }), "", near("indication")),
        (
            json!({ "patient": { "familyname": "x" } }),
            "/patient",
            near("family_name"),
        ),
        (json!({ "zyxwombat": 1 }), "", "known are ".to_owned()),
    ] {
        let body = house.order_with(members);
        let refused = house.client.post(orders, &body).await?;
        assert_eq!(refused.code(), "invalid_body", "{refused:?}");
        assert_eq!(pointers(&refused), [at], "{refused:?}");
        let detail = refused.text_at("/errors/0/detail");
        assert!(detail.contains(&told), "{told} is not in {detail}");
    }
    Ok(())
}
