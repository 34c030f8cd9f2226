//! Feed as server-sent events (WHATWG HTML, section 9.2): `id:` is the position, in heartbeats, too.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use std::time::Duration;

use roentgen_store::fair::Share;
use roentgen_store::log::MAX_PAGE_BYTES;
use roentgen_store::pace::YieldPacer;
use tokio::time::Instant;

use super::{FeedRequest, POLL_INTERVAL, envelope};
use crate::app::App;
use crate::problem::Problem;

/// Interval of heartbeats on an idle feed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Maximum number of events per write.
const CHUNK: u32 = 500;

/// Streams all events after the subscription's position, holding the reader's slot until the client disconnects.
pub(super) fn respond(app: App, mut subscription: FeedRequest, place: Share) -> Response {
    subscription.wait = HEARTBEAT;
    subscription.limit = subscription.limit.min(CHUNK);
    let first = Some((app, subscription, place));
    let body = stream::unfold(first, |at| async {
        let (app, mut subscription, place) = at?;
        if app.stop.is_cancelled() || subscription.has_ended() {
            return None;
        }
        match next(&app, &mut subscription).await {
            Ok(chunk) => Some((
                Ok::<_, std::io::Error>(chunk),
                Some((app, subscription, place)),
            )),
            Err(problem) => Some((Err(std::io::Error::other(problem.code().as_str())), None)),
        }
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Returns the next events, or a heartbeat with the last scanned position. While the tenant has no room in the response
/// budget, the reader receives heartbeats.
async fn next(app: &App, subscription: &mut FeedRequest) -> Result<Bytes, Problem> {
    let tenant = subscription.filter.tenant_id;
    if !room(app, subscription).await {
        return Ok(heartbeat(subscription.after).into());
    }
    let reads = subscription.reads(app);
    let (page, turn) = subscription.page(app, &reads).await?;
    let mut chunk = Vec::new();
    let pace = YieldPacer::begin();
    for event in page.events {
        let head = format!(
            "id: {}\nevent: {}\ndata: ",
            event.position, event.event_type
        );
        chunk.extend_from_slice(head.as_bytes());
        envelope::write(&mut chunk, &event, subscription.phi, &app.store.keyring).await?;
        chunk.extend_from_slice(b"\n\n");
        pace.rest().await;
    }
    drop(turn);
    if chunk.is_empty() {
        subscription.after = page.scanned_to;
        return Ok(heartbeat(page.scanned_to).into());
    }
    // Another reader took the budget first: the events are read again later.
    let Some(share) = app.answers.take(tenant, chunk.len()) else {
        return Ok(heartbeat(subscription.after).into());
    };
    subscription.after = page.scanned_to;
    Ok(share.hold(chunk.into()))
}

fn heartbeat(position: u64) -> String {
    format!(": heartbeat\nid: {position}\n\n")
}

/// Waits up to [`HEARTBEAT`] until the budget has room for the largest page.
async fn room(app: &App, subscription: &FeedRequest) -> bool {
    let tenant = subscription.filter.tenant_id;
    let deadline = Instant::now() + HEARTBEAT;
    while !app.answers.fit(tenant, MAX_PAGE_BYTES) {
        let is_over = Instant::now() >= deadline || subscription.has_ended();
        if is_over || app.stop.is_cancelled() {
            return false;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    true
}
