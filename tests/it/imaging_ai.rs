//! `/imaging-ai`.

mod models;

use anyhow::Result;
use serde_json::{Value, json};

use crate::story::{House, with};

const MODELS: &str = "/imaging-ai/models";

/// A model for triage and quality, for any images.
async fn a_model(house: &House, code: &str, members: Value) -> Result<String> {
    let capabilities = json!({ "triage": true, "quality": true });
    let body = json!({ "code": code, "name": code, "capabilities": capabilities });
    let created = house.client.post(MODELS, &with(body, members)).await?;
    assert_eq!(created.status, 201, "{created:?}");
    Ok(created.text_at("/id"))
}
