//! Audit trail of the workflows; checks that each of the twenty event types occurred.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::Value;

use super::client::{DemoClient, text};
use super::users::DemoUsers;

/// The twenty event types of the source system.
const SOURCE_EVENT_TYPES: [&str; 20] = [
    "ImagingOrder.Created",
    "ImagingOrder.Scheduled",
    "ImagingOrder.InProgress",
    "ImagingOrder.Completed",
    "ImagingOrder.Cancelled",
    "ImagingStudy.Available",
    "ImagingStudy.Archived",
    "RadiologyWorklistItem.Created",
    "RadiologyWorklistItem.Claimed",
    "RadiologyWorklistItem.Released",
    "RadiologyWorklistItem.Updated",
    "RadiologyReport.Created",
    "RadiologyReport.Updated",
    "RadiologyReport.Signed",
    "RadiologyReport.AddendumAdded",
    "RadiologyReport.CriticalResult",
    "ImagingAI.TaskCreated",
    "ImagingAI.TaskCompleted",
    "ImagingAI.TaskFailed",
    "ImagingAI.OutputCreated",
];

/// Prints every event of the tenant, one per line, and the count of each of the twenty types.
pub(super) async fn show(client: &DemoClient, cast: &DemoUsers) -> anyhow::Result<()> {
    println!("\nAudit trail (GET /events as auditor)\n");
    let events = client.events(&cast.auditor).await?;
    println!(
        "  {:>8}  {:<42} {:>3}  {:<12} hash",
        "position", "type", "ver", "who"
    );
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        print_line(event);
        *counts.entry(text(event, "/type")).or_default() += 1;
    }
    println!("\nThe twenty event types of the source system\n");
    for kind in SOURCE_EVENT_TYPES {
        let count = counts.get(kind).copied().unwrap_or_default();
        println!("  {count:>8}  {kind}");
        ensure!(count > 0, "no {kind} in the log");
    }
    let others = counts
        .keys()
        .filter(|count| !SOURCE_EVENT_TYPES.contains(*count))
        .count();
    println!(
        "\n{} events of {} types: the twenty of the source system and {others} more.",
        events.len(),
        counts.len()
    );
    Ok(())
}

fn print_line(event: &Value) {
    let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let hash: String = text(event, "/hash").chars().take(16).collect();
    let position = number("/position");
    let version = number("/version");
    let kind = text(event, "/type");
    let role = text(event, "/actor/roles/0");
    let who = if role.is_empty() {
        text(event, "/actor/sub")
    } else {
        role
    };
    println!("  {position:>8}  {kind:<42} {version:>3}  {who:<12} {hash}");
}
