//! Searches for the longest text that nearly matches everywhere.

use serde_json::json;

use super::make;
use crate::fairness::Site;
use crate::fairness::flood::{Asked, Caller};
use crate::http_client::Connection;

const CALLERS: usize = 32;
const NAMES: usize = 1_000;
/// Maximum length of a name and of a search, in characters.
const NAME_CHARACTERS: usize = 256;
const SEARCH_CHARACTERS: usize = 128;

pub(super) async fn callers(site: &Site, admin: &mut Connection) -> anyhow::Result<Vec<Caller>> {
    let modalities = admin.get("/imaging/modalities").await?;
    let modalities: serde_json::Value = serde_json::from_slice(&modalities.body)?;
    let modality = modalities.pointer("/0/id").cloned().unwrap_or_default();
    let long = move |number: usize| {
        let name = "a".repeat(NAME_CHARACTERS);
        json!({ "code": format!("LONG{number}"), "name": name, "modality_id": modality })
    };
    make(site, "/imaging/procedures", NAMES, long).await?;
    let search = format!(
        "/imaging/procedures?search={}b",
        "a".repeat(SEARCH_CHARACTERS - 1)
    );
    let caller = |_| -> Caller {
        let search = search.clone();
        Box::new(move |_| Asked::get(search.clone()))
    };
    Ok((0..CALLERS).map(caller).collect())
}
