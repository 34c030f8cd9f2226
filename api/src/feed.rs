//! `GET /events`: the log in position order, as NDJSON pages or server-sent events.
//!
//! Envelopes are assembled from the stored bytes: payloads are parsed only if PHI is requested.

mod chunks;
mod envelope;
mod phi_visibility;
mod sse;

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_store::StoreError;
use roentgen_store::error::Unavailable;
use roentgen_store::fair::{Share, ShareOwner};
use roentgen_store::log::{LogFilter, LogPage};
use roentgen_store::pace::YieldPacer;
use roentgen_store::reads::{ReadTurn, Reads};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::app::App;
use crate::command_request::{LOG_POSITION, insert_header};
use crate::identity::Caller;
use crate::logged;
use crate::openapi::values;
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use chunks::Chunks;
use phi_visibility::PhiVisibility;

/// Interval at which a waiting reader polls for events of other nodes.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const DEFAULT_LIMIT: u32 = 500;
const MAX_LIMIT: u32 = 5000;
const MAX_WAIT_SECS: u64 = 60;

/// Maximum lag in events at which a reader needs no long-page turn: events may be 256 KiB each.
const FOLLOWS_CLOSELY: u64 = 16;

/// Page with the turns that are held until it is rendered.
type PageWithTurns<'a> = (LogPage, (ReadTurn<'a>, Option<Share>));

/// Parsed feed request.
#[derive(Debug, Clone)]
struct FeedRequest {
    after: u64,
    limit: u32,
    wait: Duration,
    filter: LogFilter,
    phi: PhiVisibility,
    /// Expiry of the reader's token, which ends the response.
    ends: Option<Instant>,
}

/// Lists events after a position in log order, as NDJSON, or as server-sent events if the client accepts
/// `text/event-stream`. `wait` is the long-poll timeout in seconds. `Scanned-To` is the last position examined for a
/// filtered page.
#[utoipa::path(get, path = "/events",
    params(("after" = Option<u64>, Query), ("limit" = Option<values::LogLimit>, Query), ("types" = Option<values::EventTypes>, Query),
        ("stream_type" = Option<values::StreamType>, Query), ("stream_id" = Option<uuid::Uuid>, Query),
        ("patient_id" = Option<uuid::Uuid>, Query), ("wait" = Option<values::WaitSeconds>, Query), ("phi" = Option<bool>, Query)),
    responses((status = 200, content_type = "application/x-ndjson", body = crate::openapi::EventEnvelope),
        (status = 409)))]
pub(crate) async fn events(
    State(app): State<App>,
    axum::Extension(caller): axum::Extension<Caller>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut subscription = FeedRequest::parse(query.as_deref(), &caller)?;
    let reads = subscription.reads(&app);
    if accepts_sse(&headers) {
        if let Some(position) = last_event_id(&headers)? {
            subscription.after = position;
        }
        // After the response has started, an error can no longer be reported.
        logged::reaches(&app, &reads, subscription.after).await?;
        reads
            .page(subscription.after, 1, &subscription.filter)
            .await?;
        let place = subscription.place(&app)?;
        return Ok(sse::respond(app, subscription, place));
    }
    logged::reaches(&app, &reads, subscription.after).await?;
    let (page, turn) = if subscription.wait.is_zero() {
        subscription.page(&app, &reads).await?
    } else {
        let _place = subscription.place(&app)?;
        subscription.page(&app, &reads).await?
    };
    let mut body = Chunks::default();
    let pace = YieldPacer::begin();
    // Each event is dropped once rendered, so that the page is in memory only once.
    for event in page.events {
        let line = body.line();
        envelope::write(line, &event, subscription.phi, &app.store.keyring).await?;
        line.push(b'\n');
        pace.rest().await;
    }
    drop(turn);
    let kind = HeaderValue::from_static("application/x-ndjson");
    let mut response = ([(header::CONTENT_TYPE, kind)], body.finished()).into_response();
    insert_header(
        response.headers_mut(),
        "scanned-to",
        &page.scanned_to.to_string(),
    );
    let head = (*app.store.tail.head().borrow()).max(page.scanned_to);
    insert_header(response.headers_mut(), LOG_POSITION, &head.to_string());
    Ok(response)
}

impl FeedRequest {
    fn parse(query: Option<&str>, caller: &Caller) -> Result<Self, Problem> {
        let mut query = StrictQuery::parse(query, caller)?;
        let limit = query.take_parsed("limit", |text| {
            let limit = text
                .parse::<u32>()
                .ok()
                .filter(|number| (1..=MAX_LIMIT).contains(number));
            limit.ok_or("must be 1 to 5000")
        })?;
        let wait = query.take_parsed("wait", |text| {
            let wait = text
                .parse::<u64>()
                .ok()
                .filter(|number| *number <= MAX_WAIT_SECS);
            wait.ok_or("must be 0 to 60 seconds")
        })?;
        let types = query.take_text("types")?.unwrap_or_default();
        let phi = if query.take_bool("phi")?.unwrap_or(false) {
            PhiVisibility::for_caller(caller)?
        } else {
            PhiVisibility::None
        };
        let subscription = Self {
            after: query.take_number("after")?.unwrap_or(0),
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            wait: Duration::from_secs(wait.unwrap_or(0)),
            filter: LogFilter {
                tenant_id: caller.tenant,
                event_types: types
                    .split(',')
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
                    .collect(),
                stream_type: query.take_text("stream_type")?,
                stream_id: query.take_uuid::<StreamId>("stream_id")?,
                patient_id: query.take_uuid::<PatientId>("patient_id")?,
                beginnings: false,
            },
            phi,
            ends: caller.ends(),
        };
        query.finish()?;
        if i64::try_from(subscription.after).is_err() {
            return Err(Problem::parameter("after", "must be a log position"));
        }
        Ok(subscription)
    }

    /// Returns reads of the log that the subscriber may see: its tenant's, or the whole log for an operator.
    fn reads(&self, app: &App) -> Reads {
        match self.filter.tenant_id {
            Some(tenant) => app.reads(tenant),
            None => Reads::of_system(&app.store.engine),
        }
    }

    fn party(&self) -> ShareOwner {
        self.filter
            .tenant_id
            .map_or(ShareOwner::System, ShareOwner::Tenant)
    }

    /// Takes a slot among waiting readers, held while this reader waits.
    fn place(&self, app: &App) -> Result<Share, Problem> {
        app.followers.try_enter(self.party(), 1).map_err(|_| {
            let detail = "too many of the tenant's readers wait for events; try again later";
            Problem::new(ProblemCode::Unavailable, detail)
        })
    }

    /// Returns whether the reader's token has expired.
    fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// Reads a page of existing events. Readers close to the head need no long-page turn.
    async fn look<'a>(&self, app: &App, reads: &'a Reads) -> Result<PageWithTurns<'a>, StoreError> {
        let behind = app.store.tail.head().borrow().saturating_sub(self.after);
        let long = if behind > FOLLOWS_CLOSELY && self.limit > 1 {
            app.long_page(self.party()).await?
        } else {
            None
        };
        let turn = reads.log_turn().await?;
        let page = turn.page(self.after, self.limit, &self.filter).await?;
        Ok((page, (turn, long)))
    }

    /// Returns the next page with its turn. At the head of the log, waits for events up to the requested time.
    async fn page<'a>(
        &mut self,
        app: &App,
        reads: &'a Reads,
    ) -> Result<PageWithTurns<'a>, Problem> {
        let deadline = Instant::now() + self.wait;
        let deadline = self.ends.map_or(deadline, |ends| ends.min(deadline));
        let mut head = app.store.tail.head();
        loop {
            head.borrow_and_update();
            let looked = self.look(app, reads).await;
            let is_over = Instant::now() >= deadline || app.stop.is_cancelled();
            match looked {
                // A reader that waits for events also waits for the tenant's turn.
                Err(StoreError::Unavailable(Unavailable::Crowded)) if !is_over => {}
                Err(error) => return Err(error.into()),
                Ok((page, turn)) => {
                    let scanned = page.scanned_to.saturating_sub(self.after);
                    let at_the_end = scanned < roentgen_store::log::MAX_POSITIONS_PER_PAGE;
                    if is_over || !page.events.is_empty() || !at_the_end {
                        return Ok((page, turn));
                    }
                    self.after = page.scanned_to;
                }
            }
            let poll = Instant::now() + POLL_INTERVAL;
            tokio::select! {
                _ = timeout_at(deadline, head.changed()) => {}
                () = sleep_until(poll.min(deadline)) => {}
                () = app.stop.cancelled() => {}
            }
        }
    }
}

fn accepts_sse(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|header| header.to_str().ok());
    accepted
        .flat_map(|accepted| accepted.split(','))
        .any(|text| text.trim().starts_with("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let position = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let position = position.filter(|position| i64::try_from(*position).is_ok());
    let refused = || {
        Problem::new(
            ProblemCode::InvalidHeader,
            "Last-Event-ID must be a log position",
        )
    };
    position.ok_or_else(refused).map(Some)
}
