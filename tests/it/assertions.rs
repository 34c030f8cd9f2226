//! Assertions about rejected requests.

use anyhow::Result;
use reqwest::Method;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::{TestClient, TestResponse};
use serde_json::Value;

/// Request that must be rejected, with the expected response.
pub(crate) struct RejectedRequest<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Vec<u8>,
    pub(crate) code: ProblemCode,
    /// Pointers of the invalid members; not compared if empty.
    pub(crate) pointers: &'a [&'a str],
}

impl<'a> RejectedRequest<'a> {
    pub(crate) fn get(path: &'a str, code: ProblemCode) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Vec::new(),
            code,
            pointers: &[],
        }
    }

    pub(crate) fn post(path: &'a str, body: impl Into<Vec<u8>>, code: ProblemCode) -> Self {
        Self {
            method: Method::POST,
            body: body.into(),
            ..Self::get(path, code)
        }
    }

    pub(crate) fn patch(path: &'a str, body: impl Into<Vec<u8>>, code: ProblemCode) -> Self {
        Self {
            method: Method::PATCH,
            body: body.into(),
            ..Self::get(path, code)
        }
    }

    pub(crate) fn at(self, pointers: &'a [&'a str]) -> Self {
        Self { pointers, ..self }
    }
}

/// Checks that each request is rejected as expected and that nothing is appended to the log.
pub(crate) async fn assert_all_rejected(
    client: &TestClient,
    refused: Vec<RejectedRequest<'_>>,
) -> Result<()> {
    send_rejected(client, refused).await.map(drop)
}

/// Checks the rejections and returns the responses.
pub(crate) async fn send_rejected(
    client: &TestClient,
    refused: Vec<RejectedRequest<'_>>,
) -> Result<Vec<TestResponse>> {
    let before = log_head(client).await?;
    let mut answers = Vec::new();
    for request in refused {
        let asked = format!(
            "{} {} {}",
            request.method,
            request.path,
            shortened(&request.body)
        );
        let answer = client
            .send(request.method, request.path, request.body)
            .await?;
        assert_problem(&answer, request.code, &asked);
        if !request.pointers.is_empty() {
            assert_eq!(pointers(&answer), request.pointers, "{asked}: {answer:?}");
        }
        assert_eq!(log_head(client).await?, before, "{asked} was appended");
        answers.push(answer);
    }
    Ok(answers)
}

/// Checks that the response is a complete problem document with this code.
pub(crate) fn assert_problem(answer: &TestResponse, code: ProblemCode, asked: &str) {
    let document = answer.json();
    let said = format!("{asked}: {answer:?}");
    assert_eq!(answer.code(), code.as_str(), "{said}");
    assert_eq!(answer.status, code.status(), "{said}");
    assert_eq!(document["status"], code.status(), "{said}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{said}"
    );
    assert_eq!(
        answer.text_at("/type"),
        format!("/problems/{}", code.as_str()),
        "{said}"
    );
    assert_eq!(answer.text_at("/title"), code.title(), "{said}");
    assert!(!answer.text_at("/detail").is_empty(), "{said}");
    assert_eq!(
        answer.text_at("/request_id"),
        answer.header("x-request-id"),
        "{said}"
    );
    assert!(!answer.header("x-request-id").is_empty(), "{said}");
    let known = [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "errors",
    ];
    let members = document.as_object().map(|object| object.keys().cloned());
    for member in members.into_iter().flatten() {
        assert!(known.contains(&member.as_str()), "{member} in {said}");
    }
}

/// Returns the pointers of a problem's `errors`, in order.
pub(crate) fn pointers(answer: &TestResponse) -> Vec<String> {
    let document = answer.json();
    let errors = document["errors"].as_array().cloned().unwrap_or_default();
    let pointer = |value: &Value| value["pointer"].as_str().unwrap_or_default().to_owned();
    errors.iter().map(pointer).collect()
}

/// Returns the last position of the log.
pub(crate) async fn log_head(client: &TestClient) -> Result<u64> {
    let page = client.get("/events?limit=1").await?;
    assert_eq!(page.status, 200, "{page:?}");
    Ok(page.number("log-position"))
}

fn shortened(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}
