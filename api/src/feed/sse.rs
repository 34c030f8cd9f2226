//! The feed as server-sent events (WHATWG HTML, section 9.2): `id:` is the position, also of a heartbeat.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use std::time::Duration;

use roentgen_store::engine::MAX_PAGE_BYTES;
use roentgen_store::fair::Share;
use roentgen_store::pace::YieldPacer;
use tokio::time::Instant;

use super::{FeedRequest, POLL_INTERVAL, envelope};
use crate::app::App;
use crate::problem::Problem;

/// How long a quiet feed stays silent.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Events in one write.
const CHUNK: u32 = 500;

/// Everything from the subscription's position on, for as long as the client listens.
/// Its place among the readers that wait is kept until then.
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

/// The next events, or a heartbeat that says how far the log was looked at. A reader whose tenant has no room in the
/// budget for answers is given heartbeats until there is some.
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
    // Another reader may have been faster: then the events are read again.
    let Some(share) = app.answers.take(tenant, chunk.len()) else {
        return Ok(heartbeat(subscription.after).into());
    };
    subscription.after = page.scanned_to;
    Ok(share.hold(chunk.into()))
}

fn heartbeat(position: u64) -> String {
    format!(": heartbeat\nid: {position}\n\n")
}

/// Waits, no longer than a feed stays silent, until there is room for the largest page.
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
