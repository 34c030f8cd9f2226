//! Comparison of the log with what the clients recorded.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use roentgen_domain::order::Order as Resource;
use roentgen_domain::phi::Phi;
use roentgen_domain::{Aggregate as _, Versioned};
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::{LogFilter, StoredEvent};
use roentgen_store::reads::Reads;
use serde_json::Value;
use uuid::Uuid;

use super::load::{Order, OrderClient, RecordedRequest, RequestOutcome, STEPS};
use crate::read_model_audit::{OfflineDatabase, every_event};

const CREATED: &str = "ImagingOrder.Created";

/// Counts of checked requests.
#[derive(Debug, Default)]
pub(super) struct AuditCounts {
    pub(super) acknowledged: u32,
    pub(super) repeated: u32,
    /// Retried requests whose server was killed between commit and response.
    pub(super) repeated_and_written_before: u32,
    unanswered_and_written: u32,
    unanswered_and_not_written: u32,
    refused: u32,
}

type Streams<'a> = HashMap<Uuid, Vec<&'a StoredEvent>>;

pub(super) async fn audit(
    beside: &OfflineDatabase,
    tenant: Uuid,
    clerks: &[OrderClient],
) -> Result<AuditCounts> {
    let events = every_event(&*beside.log, &LogFilter::default()).await?;
    let mut streams: Streams<'_> = HashMap::new();
    for event in events
        .iter()
        .filter(|event| &*event.stream_type == "ImagingOrder")
    {
        ensure!(
            event.tenant_id == tenant.into(),
            "another tenant's {event:?}"
        );
        let stream = streams.entry(event.stream_id.as_uuid()).or_default();
        stream.push(event);
    }
    let orders: Vec<&Order> = clerks.iter().flat_map(|client| &client.orders).collect();
    let sent: HashSet<Uuid> = orders.iter().filter_map(|order| order.id()).collect();
    for id in streams.keys() {
        ensure!(sent.contains(id), "nobody sent order {id}");
    }
    let mut found = AuditCounts::default();
    for order in orders {
        // The response said that nothing was written, which the check above has confirmed.
        let Some(id) = order.id() else { continue };
        let events = streams.remove(&id).unwrap_or_default();
        audit_order(order, &events, &mut found).with_context(|| format!("{order:?}"))?;
        if !events.is_empty() {
            audit_state(beside, (id, order), events.len() as u64).await?;
        }
    }
    Ok(found)
}

fn audit_order(order: &Order, events: &[&StoredEvent], found: &mut AuditCounts) -> Result<()> {
    for (place, event) in events.iter().enumerate() {
        ensure!(event.version == place as u64 + 1, "a gap: {event:?}");
    }
    if let (Some(first), Some(accession)) = (events.first(), &order.accession) {
        let payload: Value = serde_json::from_str(&first.payload)?;
        ensure!(
            payload.pointer("/accession_number") == Some(&accession.as_str().into()),
            "another order's event: {payload}"
        );
    }
    audit_request(&order.create, CREATED, events, found)?;
    for (step, (_, event)) in order.moves.iter().zip(STEPS) {
        audit_request(step, event, events, found)?;
    }
    let asked = 1 + order.moves.len();
    ensure!(events.len() <= asked, "more events than were asked for");
    Ok(())
}

/// Checks that an acknowledged request was written exactly once, an unanswered one at most once, and a rejected one not
/// at all.
fn audit_request(
    request: &RecordedRequest,
    event: &str,
    events: &[&StoredEvent],
    found: &mut AuditCounts,
) -> Result<()> {
    let written: Vec<_> = events
        .iter()
        .filter(|value| *value.event_type == *event)
        .collect();
    let count = written.len();
    let (holds, counter) = match (&request.fate, count) {
        (RequestOutcome::Done(_), _) => (count == 1, &mut found.acknowledged),
        (RequestOutcome::NotWritten, _) => (count == 0, &mut found.refused),
        (RequestOutcome::Unknown, 0) => (true, &mut found.unanswered_and_not_written),
        (RequestOutcome::Unknown, _) => (count == 1, &mut found.unanswered_and_written),
    };
    ensure!(holds, "{event} stands {count} times: {request:?}");
    *counter += 1;
    if let (Some(repeated_at), Some(event)) = (request.repeated_at, written.first()) {
        found.repeated += 1;
        found.repeated_and_written_before += u32::from(event.recorded_at_ms < repeated_at);
    }
    Ok(())
}

/// Checks that the stream folds up to its last event, and that the response to a creation with a key equals the fold at
/// version 1.
async fn audit_state(
    beside: &OfflineDatabase,
    (id, order): (Uuid, &Order),
    version: u64,
) -> Result<()> {
    let log = &beside.log;
    let keyring = &beside.keyring;
    let id = id.into();
    let now = loader::load::<Resource>(&Reads::of_system(log), keyring, id, AsOf::Now).await?;
    let now = now.with_context(|| format!("{order:?} does not fold"))?;
    ensure!(now.version == version, "{now:?} is not whole");
    if let (RequestOutcome::Done(answer), Some(_)) = (&order.create.fate, &order.create.key) {
        let first =
            loader::load::<Resource>(&Reads::of_system(log), keyring, id, AsOf::Version(1)).await?;
        let first = shown(&first.context("no first version")?)?;
        let answer: Value = serde_json::from_str(answer)?;
        ensure!(answer == first, "answered {answer}, folded {first}");
    }
    Ok(())
}

/// Returns the resource as the API shows it to a caller with PHI access.
fn shown(resource: &Versioned<Resource>) -> Result<Value> {
    let mut shown = serde_json::to_value(resource)?;
    let phi = resource.state.phi().map(Phi::into_inner);
    let members = shown.as_object_mut().context("no object")?;
    for (name, member) in phi.context("erased")? {
        members.insert(name, member.read()?);
    }
    members.insert("phi".to_owned(), "open".into());
    Ok(shown)
}
