//! `GET /events`: the log as its readers see it, in position order.
//!
//! Pages of NDJSON, or server-sent events. Envelopes are laid together from the stored bytes: a payload is never parsed
//! on its way out unless PHI is asked for.

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
use crate::problem::{Problem, ProblemCode};
use crate::query_params::StrictQuery;
use chunks::Chunks;
use phi_visibility::PhiVisibility;

/// How often a waiting reader looks for what other nodes wrote.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const DEFAULT_LIMIT: u32 = 500;
const MAX_LIMIT: u32 = 5000;
const MAX_WAIT_SECS: u64 = 60;

/// How many events a reader may be behind and have its page at once: they may be 256 KiB each.
const FOLLOWS_CLOSELY: u64 = 16;

/// A page, and the turns that are kept until it is rendered.
type PageWithTurns<'a> = (LogPage, (ReadTurn<'a>, Option<Share>));

/// What a reader of the log asks for.
#[derive(Debug, Clone)]
struct FeedRequest {
    after: u64,
    limit: u32,
    wait: Duration,
    filter: LogFilter,
    phi: PhiVisibility,
    /// When the reader's token ends, and with it the answer.
    ends: Option<Instant>,
}

/// Lists events after a position in log order, as NDJSON, or as server-sent events if the client accepts
/// `text/event-stream`. `wait` is the long-poll timeout in seconds. `Scanned-To` is the last position examined for a
/// filtered page.
#[utoipa::path(get, path = "/events",
    params(("after" = Option<u64>, Query), ("limit" = Option<u32>, Query), ("types" = Option<String>, Query),
        ("stream_type" = Option<String>, Query), ("stream_id" = Option<uuid::Uuid>, Query),
        ("patient_id" = Option<uuid::Uuid>, Query), ("wait" = Option<u64>, Query), ("phi" = Option<bool>, Query)),
    responses((status = 200, content_type = "application/x-ndjson", body = crate::openapi::EventEnvelope)))]
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
        // Once an answer has begun it cannot say what is wrong any more.
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
    // Each event is let go when it is rendered: the page is in memory once.
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

    /// Reads of what the subscriber may see: its tenant's log, or, for an operator, everybody's.
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

    /// A place among the readers that wait, for as long as this one does.
    fn place(&self, app: &App) -> Result<Share, Problem> {
        app.followers.try_enter(self.party(), 1).map_err(|_| {
            let detail = "too many of the tenant's readers wait for events; try again later";
            Problem::new(ProblemCode::Unavailable, detail)
        })
    }

    /// Whether the reader's token has ended.
    fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// A page of what is there. Only who follows the log closely waits for no turn of the long pages.
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

    /// The next page, with the turn that it is rendered in; at the log's end it waits for one, as long as the reader
    /// asked.
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
                // Whoever waits for events waits for the tenant's turn, too.
                Err(StoreError::Unavailable(Unavailable::Crowded)) if !is_over => {}
                Err(error) => return Err(error.into()),
                Ok((page, turn)) => {
                    let scanned = page.scanned_to.saturating_sub(self.after);
                    let at_the_end = scanned < roentgen_store::engine::MAX_POSITIONS_PER_PAGE;
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
