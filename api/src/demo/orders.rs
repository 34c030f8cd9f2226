//! The order part: a catalog, a stat CT head from order to completion, one that is called off, and a wrong move.

use anyhow::ensure;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, id};

const ORDERS: &str = "/imaging/orders";

pub(super) async fn play(client: &Client) -> anyhow::Result<()> {
    println!("The catalog");
    let procedure = catalog(client).await?;
    println!("\nA stat CT head, from order to completion");
    let order = order(client, &procedure, "ACC123456", "stat").await?;
    moved(client, &order, "It is booked", "scheduled").await?;
    moved(client, &order, "The patient is on the table", "in_progress").await?;
    moved(client, &order, "The scan is done", "completed").await?;
    println!("\nA wrong move is refused, and leaves nothing behind");
    let body = json!({ "status": "scheduled" });
    let path = format!("{ORDERS}/{order}");
    let says = "Someone books the completed order again";
    let refused = client
        .step(
            says,
            (Method::PATCH, &path),
            Some(&body),
            StatusCode::CONFLICT,
        )
        .await?;
    println!(
        "    {}: {}",
        field(&refused, "code"),
        field(&refused, "detail")
    );
    println!("\nAnother order is called off");
    let second = self::order(client, &procedure, "ACC123457", "routine").await?;
    let body = json!({ "status": "cancelled", "cancellation_reason": "the patient went home" });
    let path = format!("{ORDERS}/{second}");
    client
        .step(
            "It is cancelled",
            (Method::PATCH, &path),
            Some(&body),
            StatusCode::OK,
        )
        .await?;
    println!("\nThe list");
    let path = format!("{ORDERS}?status=completed");
    let says = "Completed orders";
    let list = client
        .step(says, (Method::GET, &path), None, StatusCode::OK)
        .await?;
    ensure!(
        list.as_array().is_some_and(|it| it.len() == 1),
        "one completed order: {list}"
    );
    Ok(())
}

async fn catalog(client: &Client) -> anyhow::Result<String> {
    let body = json!({ "code": "CT", "name": "Computed tomography" });
    let post = (Method::POST, "/imaging/modalities");
    let modality = client
        .step("A modality", post, Some(&body), StatusCode::CREATED)
        .await?;
    let body = json!({
        "code": "CT_HEAD_WO_CONTRAST", "name": "CT head without contrast",
        "modality_id": id(&modality)?, "body_part": "HEAD", "default_duration_minutes": 15,
    });
    let post = (Method::POST, "/imaging/procedures");
    let procedure = client
        .step("A procedure", post, Some(&body), StatusCode::CREATED)
        .await?;
    Ok(id(&procedure)?.to_owned())
}

async fn order(
    client: &Client,
    procedure: &str,
    accession: &str,
    priority: &str,
) -> anyhow::Result<String> {
    let body = json!({
        "patient_id": Uuid::from_u128(7), "imaging_procedure_id": procedure, "priority": priority,
        "indication": "rule out acute stroke", "accession_number": accession,
        "patient": { "mrn": "DEMO-1", "family_name": "Example", "birth_date": "1950-01-31" },
    });
    let says = format!("A clinician orders, {priority}");
    let post = (Method::POST, ORDERS);
    let order = client
        .step(&says, post, Some(&body), StatusCode::CREATED)
        .await?;
    Ok(id(&order)?.to_owned())
}

async fn moved(client: &Client, order: &str, says: &str, status: &str) -> anyhow::Result<()> {
    let path = format!("{ORDERS}/{order}");
    let body = json!({ "status": status });
    let moved = client
        .step(says, (Method::PATCH, &path), Some(&body), StatusCode::OK)
        .await?;
    ensure!(
        field(&moved, "status") == status,
        "the order is {status}: {moved}"
    );
    Ok(())
}

fn field<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}
